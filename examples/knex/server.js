// Healthy means: the database answers, and has our table.
const http = require("node:http");
const knex = require("knex")(require("./knexfile"));

const version = 1;

const server = http.createServer(async (request, response) => {
  const [status, text] = await answer(request.url);
  response.writeHead(status, { "Content-Type": "text/plain" }).end(text);
});

async function answer(path) {
  if (path !== "/up") return [404, "not found"];
  try {
    const [{ count }] = await knex("notes").count();
    return [200, `version ${version}, ${count} notes`];
  } catch (error) {
    return [503, `the database: ${error.message}`];
  }
}

server.listen(process.env.PORT ?? 3000);
process.on("SIGTERM", () => server.close(() => knex.destroy()));
