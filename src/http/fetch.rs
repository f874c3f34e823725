//! A request to something on a host, whole or not at all. Imports `ports`, `model`.

use async_trait::async_trait;
use tokio::time::timeout;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{Cx, Fetch, Fetched, HostLink, Request, Target};

use super::Prober;
use super::ask::{Body, ask};
use super::port::dial;

#[async_trait]
impl Fetch for Prober {
    async fn fetch(
        &self,
        cx: &Cx,
        host: &HostAddress,
        target: &Target,
        wanted: &Request,
    ) -> Result<Result<Fetched, String>, Fault> {
        cx.or_interrupted(in_time(self.link(), host, target, wanted))
            .await
    }
}

async fn in_time(
    link: &dyn HostLink,
    host: &HostAddress,
    target: &Target,
    wanted: &Request,
) -> Result<Result<Fetched, String>, Fault> {
    let answer = async {
        let stream = match dial(link, host, target).await? {
            Ok(stream) => stream,
            Err(why) => return Ok(Err(why)),
        };
        // One byte more than is taken tells a body that is too long.
        let answer = ask(stream, wanted, wanted.most + 1, Body::Whole);
        Ok(answer.await.and_then(|fetched| {
            if fetched.body.len() > wanted.most {
                return Err(format!("the answer is longer than {} bytes", wanted.most));
            }
            Ok(fetched)
        }))
    };
    let seconds = wanted.patience.as_secs_f64();
    timeout(wanted.patience, answer)
        .await
        .unwrap_or_else(|_| Ok(Err(format!("no whole answer within {seconds:.1} s"))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_support::Answering;
    use super::*;
    use crate::ports::Method;

    async fn fetch(link: &Answering, most: usize) -> Result<Fetched, String> {
        let host = "deploy@web1".parse().expect("an address");
        let target = Target::Tcp("127.0.0.1".to_owned(), 20_001);
        let wanted = Request {
            method: Method::Get,
            path: "/schema/status".to_owned(),
            name: "localhost".to_owned(),
            headers: vec![],
            patience: Duration::from_millis(300),
            most,
        };
        let answer = in_time(link, &host, &target, &wanted).await;
        answer.expect("the host is there")
    }

    #[tokio::test]
    async fn e41_a_body_of_the_most_that_is_taken_is_an_answer_and_a_longer_one_is_none() {
        let link = Answering::closing(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345");
        assert_eq!(fetch(&link, 5).await.expect("whole").body, b"12345");
        let why = fetch(&link, 4).await.expect_err("too long");
        assert_eq!(why, "the answer is longer than 4 bytes");
    }

    #[tokio::test]
    async fn e41_a_body_that_breaks_off_is_no_answer() {
        for cut in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"compatible\": true}"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        ] {
            let why = fetch(&Answering::closing(cut), 100).await;
            let why = why.expect_err("cut off");
            assert!(why.contains("broke off"), "{why}");
        }
    }

    #[tokio::test]
    async fn e41_an_endpoint_that_hangs_gets_its_time_and_no_more() {
        for slow in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let begun = tokio::time::Instant::now();
            let why = fetch(&Answering::hanging(slow), 100).await;
            assert_eq!(why, Err("no whole answer within 0.3 s".to_owned()));
            assert!(begun.elapsed() >= Duration::from_millis(300));
        }
    }
}
