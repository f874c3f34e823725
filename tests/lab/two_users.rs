//! Two users of one host whose state folders are not the same: one at a time,
//! and one history.

use std::time::Duration;

use crate::support::lab::{Breakage, Checkout, Host, Project, Sshd, engine, free_port, within};

/// What is left of a killed process must be gone within this.
const SOON: Duration = Duration::from_secs(10);

/// Another user of a host, who may use Docker and logs in through an SSH server
/// of their own. Gone with this value, and the shared folder of the project too.
struct OtherUser {
    name: String,
    host: Host,
    project: String,
    sshd: Sshd,
}

impl OtherUser {
    fn on(host: Host, project: &Project) -> Self {
        let port = free_port();
        let name = format!("erin{port}");
        engine(host.0).sh(&format!(
            "useradd --create-home --shell /bin/bash --groups docker --password '*' {name}"
        ));
        let options = format!("-o AllowUsers={name}");
        Self {
            host,
            project: project.name.clone(),
            sshd: host.sshd(port, &options),
            name,
        }
    }

    /// As the configuration writes it.
    fn address(&self) -> String {
        let address = self.sshd.address();
        let (_, place) = address.split_once('@').expect("a user");
        format!("{}@{place}", self.name)
    }

    fn folder(&self) -> String {
        format!("/home/{}/.stagecraft/{}/prod", self.name, self.project)
    }
}

impl Drop for OtherUser {
    fn drop(&mut self) {
        engine(self.host.0).try_sh(&format!(
            "pkill -KILL -u {0}; sleep 0.2; userdel --remove {0}; rm -rf /var/lib/stagecraft/{1}",
            self.name, self.project
        ));
    }
}

/// The notices that holders of the lock left.
fn notices(host: Host, shop: &Checkout) -> String {
    engine(host.0).sh(&format!("ls /tmp | grep stagecraft.{} || true", shop.name))
}

fn one_at_a_time_and_one_history(host: Host) {
    let shop = Project::new("users").on(&[host.0]);
    let erin = OtherUser::on(host, &shop);
    let mut other = shop.second_checkout();
    other.on_addresses(&[erin.address()]);

    let mut first = shop.breaks(Breakage::WaitsForLeave).starts_to_deploy("v1");
    first.until_step("started");
    let folder = format!("/home/deploy/.stagecraft/{}/prod", shop.name);
    other
        .deploy("v2")
        .fails_with(11)
        .saying(&["dana", "stagecraft deploy", &folder]);
    other
        .runs(&["lock", "show", "--env", "prod"])
        .succeeds()
        .saying(&["dana", "stagecraft deploy"]);
    other
        .runs(&["lock", "release", "--env", "prod", "--yes"])
        .fails_with(13)
        .saying(&[&folder, "only that user"]);

    // Whoever is killed holds nothing any more; what they made speaks for them.
    first.is_killed();
    within(SOON, "the lock is free", || {
        other.runs(&["deploy", "--env", "prod"]).code != Some(11)
    });
    let refused = other.deploy("v2").fails_with(13);
    let run = refused.saying(&[&folder, &erin.folder(), "nothing was changed"]);
    other
        .runs(&[
            "releases",
            "mark-bad",
            "rel-20260101-000000000",
            "--env",
            "prod",
        ])
        .fails_with(13)
        .saying(&[&folder]);
    assert_eq!(notices(host, &shop), "");

    // The way out, as it is printed.
    let start = run.stderr.find("`install -d").expect("a command") + 1;
    let length = run.stderr[start..].find('`').expect("its end");
    engine(host.0).sh(&run.stderr[start..start + length]);
    other
        .deploy("v2")
        .fails_with(12)
        .saying(&["was cut off", "--resume"]);
    other
        .runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    other.serves_well();
    other.deploy("v2").succeeds();
    shop.serves("v2");
    shop.ships("v3");
    shop.serves_well();
    shop.deploy("v3").succeeds();
    shop.serves("v3");
    other
        .runs(&["releases", "list", "--env", "prod"])
        .succeeds()
        .saying(&["v1", "v2", "v3"]);
    assert_eq!(notices(host, &shop), "");
}

#[test]
fn two_users_of_an_old_engine_are_told_of_each_other_and_join() {
    one_at_a_time_and_one_history(Host(2));
}

#[test]
fn two_users_of_a_new_engine_are_told_of_each_other_and_join() {
    one_at_a_time_and_one_history(Host(4));
}
