// Healthy means: the database answers, and has our table.
const http = require("node:http");
const { drizzle } = require("drizzle-orm/node-postgres");
const { notes } = require("./schema");

const version = 1;
const db = drizzle(process.env.DATABASE_URL);
db.$client.on("error", ({ message }) => console.error(message)); // of an idle connection

const server = http.createServer(async (request, response) => {
  const [status, text] = await answer(request.url);
  response.writeHead(status, { "Content-Type": "text/plain" }).end(text);
});

async function answer(path) {
  if (path !== "/up") return [404, "not found"];
  try {
    return [200, `version ${version}, ${await db.$count(notes)} notes`];
  } catch (error) {
    return [503, `the database: ${error.cause?.message ?? error.message}`];
  }
}

server.listen(process.env.PORT ?? 3000);
process.on("SIGTERM", () => server.close(() => db.$client.end()));
