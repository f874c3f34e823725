use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::command_line::CommandLine;
#[cfg(doc)]
use crate::model::container::label;
use crate::model::container::{Container, ContainerSpec, EngineFacts, Exit, StopPolicy};
use crate::model::fault::Fault;
use crate::model::host::{HostAddress, TakenPorts};
use crate::model::image::PinnedImage;

use super::{ByteStream, Cx};

/// Whether a host holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageCheck {
    Present,
    Absent,
}

/// The input and output of a one-off container, as one stream of bytes. Its
/// standard error goes out as output events.
pub struct Attached {
    pub stream: Box<dyn ByteStream>,
    pub container: String,
}

/// Something in a folder, or in a folder of it: `0001_a.sql`, `0001_a/up.sql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub name: String,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    File(Vec<u8>),
    Folder,
    /// A link, a device: nothing that can be read here.
    Other,
}

/// Containers on hosts. Every method may be called again after a cut.
#[async_trait]
pub trait ContainerRunner: Send + Sync {
    /// What the engine says of itself; proves that it can be reached.
    async fn engine(&self, cx: &Cx, host: &HostAddress) -> Result<EngineFacts, Fault>;

    /// Whether the host holds exactly this image. Read-only.
    async fn has_image(
        &self,
        cx: &Cx,
        host: &HostAddress,
        image: &PinnedImage,
    ) -> Result<ImageCheck, Fault>;

    /// Makes the image present (pulls it by digest where it comes from a
    /// registry), tags it with its local reference and confirms the digest.
    async fn ensure_image(
        &self,
        cx: &Cx,
        host: &HostAddress,
        image: &PinnedImage,
    ) -> Result<(), Fault>;

    /// What `reference` (by tag or digest) names on the host, pulled when the
    /// host has nothing of that name: for programs that are not built here.
    async fn resolve_image(
        &self,
        cx: &Cx,
        host: &HostAddress,
        reference: &str,
    ) -> Result<PinnedImage, Fault>;

    /// Runs a one-off container to its end and removes it. Its output goes
    /// out line by line as events; non-zero is data. The deadline and the
    /// signal kill it.
    async fn run(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
        deadline: Duration,
    ) -> Result<Exit, Fault>;

    /// Starts a one-off container attached to its input and output, with
    /// `files` (path, mode, bytes) copied into it before it starts.
    async fn attach(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
        files: &[(String, u32, Vec<u8>)],
    ) -> Result<Attached, Fault>;

    /// What lies in a folder of `spec`'s image and in its folders, one deep. Nothing runs: its
    /// container is made, never started, and removed. A relative folder is one
    /// of the image's working directory. `None` when there is none.
    async fn folder(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
        folder: &str,
    ) -> Result<Option<Vec<FolderEntry>>, Fault>;

    /// Creates and starts a container, and confirms that it runs the pinned
    /// image. One of that name that runs the same release is left alone.
    async fn start(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
    ) -> Result<Container, Fault>;

    /// Creates a container and does not start it. One of that name is left
    /// alone, whatever it is: of several who make it, one does.
    async fn make(&self, cx: &Cx, host: &HostAddress, spec: &ContainerSpec) -> Result<(), Fault>;

    /// Starts a container that was made or has stopped.
    async fn start_again(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
    ) -> Result<Container, Fault>;

    /// Asks it to end, kills it after the timeout. One that is stopped or gone
    /// is fine. Returns how it ended.
    async fn stop(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        stop: &StopPolicy,
    ) -> Result<Option<Exit>, Fault>;

    /// Sends it the signal and lets it end in its own time: the engine will
    /// not start it again. One that is stopped or gone is fine.
    async fn let_go(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        signal: &str,
    ) -> Result<(), Fault>;

    async fn rename(&self, cx: &Cx, host: &HostAddress, name: &str, to: &str) -> Result<(), Fault>;

    /// Copies files (path, mode, bytes) into a container; their folders are
    /// there.
    async fn copy_in(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        files: &[(String, u32, Vec<u8>)],
    ) -> Result<(), Fault>;

    /// Removes a container; one that is gone is fine.
    async fn remove(&self, cx: &Cx, host: &HostAddress, name: &str) -> Result<(), Fault>;

    /// `None` when there is none of that name.
    async fn inspect(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
    ) -> Result<Option<Container>, Fault>;

    /// All containers, running or not, that carry all these labels.
    async fn list(
        &self,
        cx: &Cx,
        host: &HostAddress,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, Fault>;

    /// Whether the engine has a volume of this name (as the engine knows it).
    /// Read-only: mounting one that is missing would make it.
    async fn volume_exists(&self, cx: &Cx, host: &HostAddress, name: &str) -> Result<bool, Fault>;

    /// The name of the running container that publishes this port of the host,
    /// whosever it is. Read-only.
    async fn publisher_of(
        &self,
        cx: &Cx,
        host: &HostAddress,
        port: u16,
    ) -> Result<Option<String>, Fault>;

    /// Ports of the host that any container publishes, or keeps for when it is
    /// started again ([`label::LOOPBACK`]), whosever it is, and those where
    /// other programs listen. Read-only.
    async fn taken_ports(&self, cx: &Cx, host: &HostAddress) -> Result<TakenPorts, Fault>;

    /// The last lines of its log, standard output and error together.
    async fn logs(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        lines: usize,
    ) -> Result<Vec<String>, Fault>;

    /// Sends its log as output events until it ends or the signal comes.
    async fn follow_logs(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        lines: usize,
    ) -> Result<(), Fault>;

    /// Runs a command inside a running container.
    async fn exec(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        command: &CommandLine,
        deadline: Duration,
    ) -> Result<Exit, Fault>;
}
