//! [`Services`] over the API of a Swarm's manager. Imports `ports`, `model`.
//!
//! Invariants: what a service runs with leaves in the body of a request and is
//! never read back; a registry's login goes with each call, for the nodes to
//! pull with; a service of the same release is left alone, so every call may
//! be made again after a cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bollard::errors::Error;
use serde_json::json;

use crate::model::container::label;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::service::{Node, Service, ServiceSpec, Task};
use crate::ports::{Cx, Services};

use super::auth::{Auth, REGISTRY_AUTH};
use super::client::{Call, Engine, Engines, fault, status};
use super::runner::each_line;

mod body;
mod seen;

use body::{ServiceBody, network_body};
use seen::{SeenNode, SeenService, SeenTask};

/// Services of the Swarms whose managers `engines` reaches.
#[must_use]
pub fn services(engines: Arc<Engines>, auth: Arc<Auth>) -> Arc<dyn Services> {
    Arc::new(Swarm { engines, auth })
}

struct Swarm {
    engines: Arc<Engines>,
    auth: Arc<Auth>,
}

#[async_trait]
impl Services for Swarm {
    async fn nodes(&self, cx: &Cx, manager: &HostAddress) -> Result<Vec<Node>, Fault> {
        let engine = self.engines.engine(manager)?;
        let nodes: Vec<SeenNode> = ask(cx, &engine, "list the nodes", Call::get("/nodes")).await?;
        Ok(nodes.into_iter().map(SeenNode::into_node).collect())
    }

    async fn list(
        &self,
        cx: &Cx,
        manager: &HostAddress,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Service>, Fault> {
        let engine = self.engines.engine(manager)?;
        let wanted: Vec<String> = labels
            .iter()
            .map(|(key, at)| format!("{key}={at}"))
            .collect();
        let filters = json!({ "label": wanted }).to_string();
        let call = Call::get("/services").query("filters", filters);
        let found: Vec<SeenService> = ask(cx, &engine, "list the services", call).await?;
        let mut services: Vec<Service> = found.into_iter().map(SeenService::into_service).collect();
        services.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(services)
    }

    async fn put(&self, cx: &Cx, manager: &HostAddress, spec: &ServiceSpec) -> Result<(), Fault> {
        let engine = self.engines.engine(manager)?;
        cx.check()?;
        self.put_on(&engine, spec).await
    }

    async fn go_back(&self, cx: &Cx, manager: &HostAddress, name: &str) -> Result<(), Fault> {
        let engine = self.engines.engine(manager)?;
        let what = format!("put the service `{name}` back");
        let Some(seen) = look(&engine, name).await? else {
            return Err(Fault::failed(format!("the service `{name}` is gone")));
        };
        // The engine takes what it kept; the body is only there to be one.
        let call = Call::post(path(&seen.id, "/update"))
            .query("version", seen.version.index.to_string())
            .query("rollback", "previous")
            .query("registryAuthFrom", "previous-spec")
            .json(&seen.spec);
        done(cx, &engine, &what, call).await
    }

    async fn remove(&self, cx: &Cx, manager: &HostAddress, name: &str) -> Result<(), Fault> {
        let engine = self.engines.engine(manager)?;
        match cx
            .check()
            .and(Ok(engine.done(Call::delete(path(name, ""))).await))?
        {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(
                &engine,
                &format!("remove the service `{name}`"),
                error,
            )),
        }
    }

    async fn tasks(
        &self,
        cx: &Cx,
        manager: &HostAddress,
        service: &str,
    ) -> Result<Vec<Task>, Fault> {
        let engine = self.engines.engine(manager)?;
        let filters = json!({ "service": [service] }).to_string();
        let call = Call::get("/tasks").query("filters", filters);
        let what = format!("list the tasks of `{service}`");
        let mut found: Vec<SeenTask> = ask(cx, &engine, &what, call).await?;
        found.sort_by(|one, two| one.created_at.cmp(&two.created_at));
        Ok(found.into_iter().map(SeenTask::into_task).collect())
    }

    async fn logs(
        &self,
        cx: &Cx,
        manager: &HostAddress,
        service: &str,
        lines: usize,
    ) -> Result<Vec<String>, Fault> {
        let engine = self.engines.engine(manager)?;
        let what = format!("read the log of the service `{service}`");
        let call = Call::get(path(service, "/logs"))
            .query("stdout", "1")
            .query("stderr", "1")
            .query("tail", lines.to_string());
        let read = async {
            let stream = engine.bytes(call).await?;
            let mut seen = vec![];
            each_line(stream, |line| seen.push(line)).await?;
            Ok::<_, Error>(seen)
        };
        let answer = cx.or_interrupted(async { Ok(read.await) }).await?;
        answer.map_err(|error| failed(&engine, &what, error))
    }
}

impl Swarm {
    async fn put_on(&self, engine: &Engine, spec: &ServiceSpec) -> Result<(), Fault> {
        let name = &spec.container.name;
        let known = look(engine, name).await?;
        let call = match &known {
            None => {
                self.make_network(engine, spec).await?;
                Call::post("/services/create")
            }
            Some(known) => {
                let release = spec.container.labels.get(label::RELEASE);
                if known.release() == release.map(String::as_str) {
                    return Ok(());
                }
                for owner in [label::PROJECT, label::ENVIRONMENT] {
                    let ours = spec.container.labels.get(owner).map(String::as_str);
                    if known.label(owner) != ours {
                        return Err(foreign(engine, name));
                    }
                }
                Call::post(path(&known.id, "/update"))
                    .query("version", known.version.index.to_string())
            }
        };
        let mut call = call.json(&ServiceBody::of(spec));
        if let Some(login) = self.auth.header(&spec.container.image.repository).await? {
            call = call.header(REGISTRY_AUTH, login);
        }
        let verb = if known.is_some() { "update" } else { "make" };
        let told = engine.done(call).await;
        told.map_err(|error| failed(engine, &format!("{verb} the service `{name}`"), error))
    }

    async fn make_network(&self, engine: &Engine, spec: &ServiceSpec) -> Result<(), Fault> {
        let name = &spec.container.network;
        match engine
            .json::<seen::SeenNetwork>(Call::get(format!("/networks/{name}")))
            .await
        {
            Ok(network) if network.scope == "swarm" => return Ok(()),
            Ok(_) => {
                return Err(Fault::failed(format!(
                    "the network `{name}` on `{}` is of that host alone",
                    engine.host()
                ))
                .because("services of a Swarm need one that spans its nodes")
                .hint(format!(
                    "when nothing uses it any more, remove it on every host and deploy again: `{}`",
                    engine.host().command(&format!("docker network rm {name}"))
                )));
            }
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(failed(engine, "look at the network", error)),
        }
        let call = Call::post("/networks/create").json(&network_body(spec));
        match engine.done(call).await {
            Ok(()) => Ok(()),
            // Made by somebody else meanwhile.
            Err(error) if status(&error) == Some(409) => Ok(()),
            Err(error) => Err(failed(engine, &format!("make the network `{name}`"), error)),
        }
    }
}

async fn look(engine: &Engine, name: &str) -> Result<Option<SeenService>, Fault> {
    match engine.json(Call::get(path(name, ""))).await {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(failed(
            engine,
            &format!("look at the service `{name}`"),
            error,
        )),
    }
}

fn foreign(engine: &Engine, name: &str) -> Fault {
    Fault::failed(format!("the name `{name}` is taken on `{}`", engine.host()))
        .because("there is a service of that name, and it is not of this environment")
        .hint(format!(
            "see what it is: `{}`",
            engine
                .host()
                .command(&format!("docker service inspect {name}"))
        ))
}

async fn ask<T: serde::de::DeserializeOwned>(
    cx: &Cx,
    engine: &Engine,
    what: &str,
    call: Call,
) -> Result<T, Fault> {
    let answer = cx
        .or_interrupted(async { Ok(engine.json(call).await) })
        .await?;
    answer.map_err(|error| failed(engine, what, error))
}

async fn done(cx: &Cx, engine: &Engine, what: &str, call: Call) -> Result<(), Fault> {
    cx.check()?;
    let told = engine.done(call).await;
    told.map_err(|error| failed(engine, what, error))
}

fn failed(engine: &Engine, what: &str, error: Error) -> Fault {
    let no_manager = status(&error) == Some(503);
    let fault = fault(engine.host(), format!("cannot {what}"), error);
    match no_manager {
        true => fault.hint(format!(
            "see its part in the Swarm: `{}`",
            engine.host().command("docker node ls")
        )),
        false => fault,
    }
}

/// `/services/<name>` and what follows.
fn path(name: &str, rest: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/services/{name}{rest}")
}
