//! What this program runs of itself inside a container: a database session on
//! a file that only the container can reach.

use crate::database;

/// Serves one session on standard input and output. Whoever speaks to it hears
/// every fault as a reply; what is left here is a conversation that broke.
pub(crate) async fn run(what: &str) -> u8 {
    if what != "database" {
        return 2;
    }
    match database::helper::serve(tokio::io::stdin(), tokio::io::stdout()).await {
        Ok(()) => 0,
        Err(_) => 1,
    }
}
