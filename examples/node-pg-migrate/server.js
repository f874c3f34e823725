// Healthy means: the database answers, and has our table.
const http = require("node:http");
const { Pool } = require("pg");

const version = 1;
const pool = new Pool({ connectionString: process.env.DATABASE_URL });
pool.on("error", ({ message }) => console.error(message)); // of an idle connection

const server = http.createServer(async (request, response) => {
  const [status, text] = await answer(request.url);
  response.writeHead(status, { "Content-Type": "text/plain" }).end(text);
});

async function answer(path) {
  if (path !== "/up") return [404, "not found"];
  try {
    const { rows } = await pool.query("SELECT count(*) FROM notes");
    return [200, `version ${version}, ${rows[0].count} notes`];
  } catch (error) {
    return [503, `the database: ${error.message}`];
  }
}

server.listen(process.env.PORT ?? 3000);
process.on("SIGTERM", () => server.close(() => pool.end()));
