// Applies what is pending, and tells what is wrong with it.
const { drizzle } = require("drizzle-orm/node-postgres");
const { migrate } = require("drizzle-orm/node-postgres/migrator");

const db = drizzle(process.env.DATABASE_URL);

migrate(db, { migrationsFolder: "drizzle" })
  .catch(({ message, cause }) => {
    console.error(cause ? `${cause.message}\n${message}` : message);
    process.exitCode = 1;
  })
  .finally(() => db.$client.end());
