// For drizzle-kit, which makes the next migration: npx drizzle-kit generate
module.exports = {
  dialect: "postgresql",
  schema: "./schema.js",
  out: "./drizzle",
  dbCredentials: { url: process.env.DATABASE_URL },
};
