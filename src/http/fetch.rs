//! A GET of something on a host, whole or not at all. Imports `ports`, `model`.

use async_trait::async_trait;
use tokio::time::timeout;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{Cx, Fetch, Fetched, Get, Target};

use super::Prober;
use super::get::get;
use super::port::dial;

#[async_trait]
impl Fetch for Prober {
    async fn get(
        &self,
        cx: &Cx,
        host: &HostAddress,
        target: &Target,
        wanted: &Get,
    ) -> Result<Result<Fetched, String>, Fault> {
        let answer = async {
            let stream = match dial(self.link(), host, target).await? {
                Ok(stream) => stream,
                Err(why) => return Ok(Err(why)),
            };
            // One byte more than is taken tells a body that is too long.
            let answer = get(
                stream,
                &wanted.path,
                &wanted.name,
                &wanted.headers,
                wanted.most + 1,
            );
            Ok(answer.await.and_then(|fetched| {
                if fetched.body.len() > wanted.most {
                    return Err(format!("the answer is longer than {} bytes", wanted.most));
                }
                Ok(fetched)
            }))
        };
        let in_time = async {
            let seconds = wanted.patience.as_secs_f64();
            timeout(wanted.patience, answer)
                .await
                .unwrap_or_else(|_| Ok(Err(format!("no answer within {seconds} s"))))
        };
        cx.or_interrupted(in_time).await
    }
}
