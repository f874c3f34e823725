//! Which server the SQL is for: what a statement locks depends on it. Imports
//! `ports::Dialect`.

use crate::ports::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    pub product: Product,
    /// Major and minor: 15.18, 8.0, 10.11.
    pub version: (u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Postgres,
    Mysql,
    Mariadb,
    Sqlite,
}

impl Server {
    /// What to assume where nobody asked the server: the oldest that is still
    /// kept up.
    #[must_use]
    pub fn assumed(dialect: Dialect) -> Self {
        let (product, version) = match dialect {
            Dialect::Postgres => (Product::Postgres, (14, 0)),
            Dialect::Mysql => (Product::Mysql, (8, 0)),
            Dialect::Sqlite => (Product::Sqlite, (3, 0)),
        };
        Self { product, version }
    }

    #[must_use]
    pub fn is(self, product: Product, at_least: (u32, u32)) -> bool {
        self.product == product && self.version >= at_least
    }

    /// `PostgreSQL 15.18`.
    #[must_use]
    pub fn words(self) -> String {
        let product = match self.product {
            Product::Postgres => "PostgreSQL",
            Product::Mysql => "MySQL",
            Product::Mariadb => "MariaDB",
            Product::Sqlite => "SQLite",
        };
        format!("{product} {}.{}", self.version.0, self.version.1)
    }
}
