// Healthy means: the database answers, and has our table.
import http from "node:http";
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "@prisma/client";

const version = 1;
const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL });
const prisma = new PrismaClient({ adapter });

const server = http.createServer(async (request, response) => {
  const [status, text] = await answer(request.url);
  response.writeHead(status, { "Content-Type": "text/plain" }).end(text);
});

async function answer(path) {
  if (path !== "/up") return [404, "not found"];
  try {
    return [200, `version ${version}, ${await prisma.note.count()} notes`];
  } catch (error) {
    return [503, `the database: ${error.message}`];
  }
}

server.listen(process.env.PORT ?? 3000);
process.on("SIGTERM", () => server.close(() => prisma.$disconnect()));
