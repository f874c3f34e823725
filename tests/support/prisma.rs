//! Prisma's migrations without its engine, a program from its makers' server,
//! which cannot be reached here.

/// A `prisma.config.ts` by which Prisma works through the database's driver,
/// which is told about a type that it does not know, to send scripts whole, and
/// not to wait ten seconds at the end.
pub(crate) fn config(schema: &str, migrations: &str, variable: &str) -> String {
    CONFIG
        .replace("$schema", schema)
        .replace("$migrations", migrations)
        .replace("$variable", variable)
}

const CONFIG: &str = r#"
import { PrismaPg } from '@prisma/adapter-pg';

const later = globalThis.setTimeout;
globalThis.setTimeout = ((work: any, wait: any, ...more: any[]) => {
  const timer: any = later(work, wait, ...more);
  if (wait >= 5000) timer.unref();
  return timer;
}) as any;

class Whole extends PrismaPg {
  async connect() {
    const adapter: any = await super.connect();
    const query = adapter.client.query.bind(adapter.client);
    adapter.client.query = async (...args: any[]) => {
      const result = await query(...args);
      for (const field of result.fields ?? []) if (field.dataTypeID === 19) field.dataTypeID = 25;
      return result;
    };
    adapter.executeScript = async (script: string) => {
      try { await query(script); } catch (error) { adapter.onError(error); }
    };
    return adapter;
  }
}

export default {
  experimental: { adapter: true },
  engine: 'js',
  schema: '$schema',
  migrations: { path: '$migrations' },
  adapter: async () => new Whole({ connectionString: process.env.$variable, idleTimeoutMillis: 50 }),
};
"#;

/// The same for an SQLite file, whose name stands in `MAIN_URL`.
pub(crate) const ON_SQLITE: &str = r#"
import { PrismaLibSQL } from '@prisma/adapter-libsql';

export default {
  experimental: { adapter: true },
  engine: 'js',
  schema: './schema.prisma',
  migrations: { path: './db/migrations' },
  adapter: async () => new PrismaLibSQL({ url: process.env.MAIN_URL }),
};
"#;
