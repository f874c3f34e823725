//! The service that gives BuildKit the context: it lists what it holds, is
//! asked for the files that the engine lacks, and sends those.
//!
//! The engine keeps what it was sent before, so a build after one changed file
//! costs the list and that file. Files are streamed in pieces. A file that
//! cannot be read ends the build: an image with a silently empty file is worse
//! than none.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, channel, unbounded_channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::meta;
use super::walk::{Going, Unreadable, Wanted, go_mode, walk};
use crate::model::fault::Fault;

/// Bytes of a file in one message.
const PIECE: usize = 32 * 1024;

/// Messages that may wait for the connection.
const WAITING: usize = 64;

/// The folders that BuildKit may see, by the names that it asks for.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    context: PathBuf,
    /// Where the Dockerfile lies, which may be outside of the context.
    dockerfile: PathBuf,
    problem: Arc<Mutex<Option<Fault>>>,
}

impl Folders {
    pub(super) fn new(context: &Path, dockerfile: &Path) -> Self {
        Self {
            context: context.to_owned(),
            dockerfile: dockerfile.to_owned(),
            problem: Arc::default(),
        }
    }

    /// Why a folder could not be sent: clearer than what the engine makes of
    /// it.
    pub(super) fn problem(&self) -> Option<Fault> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn fail(&self, error: &Unreadable) -> Status {
        let mut fault = Fault::failed("the build context cannot be read")
            .caused_by(error)
            .hint("make it readable, or leave it out with a line in `.dockerignore`");
        if error.source.kind() == std::io::ErrorKind::NotFound {
            fault.hints = vec!["a file vanished during the build: run it again".to_owned()];
        }
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.get_or_insert(fault);
        Status::internal(error.to_string())
    }
}

type Outgoing = Sender<Result<Packet, Status>>;
/// Files that may be asked for, by the number of their entry.
type Files = Arc<Mutex<HashMap<u32, PathBuf>>>;

#[tonic::async_trait]
impl FileSync for Folders {
    type DiffCopyStream = ReceiverStream<Result<Packet, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let asked = meta::Asked::read(request.metadata());
        let root = match asked.folder.as_str() {
            "context" => self.context.clone(),
            "dockerfile" => self.dockerfile.clone(),
            other => return Err(Status::not_found(format!("there is no folder `{other}`"))),
        };
        let (outgoing, stream) = channel(WAITING);
        let (wishes, wished) = unbounded_channel();
        let files = Files::default();
        let lister = Lister {
            folders: self.clone(),
            root: root.clone(),
            files: Arc::clone(&files),
            outgoing: outgoing.clone(),
        };
        tokio::task::spawn_blocking(move || lister.list(&asked));
        let reader = Reader {
            folders: self.clone(),
            root,
            files,
            outgoing: outgoing.clone(),
        };
        tokio::task::spawn_blocking(move || reader.read_all(wished));
        tokio::spawn(hear(request.into_inner(), wishes, outgoing));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    type TarStreamStream = ReceiverStream<Result<Packet, Status>>;

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        // Not among the methods that the session names.
        Err(Status::unimplemented("archives are not offered"))
    }
}

/// Hears what the engine lacks, until it has everything.
async fn hear(
    mut incoming: Streaming<Packet>,
    wishes: tokio::sync::mpsc::UnboundedSender<u32>,
    outgoing: Outgoing,
) {
    while let Ok(Some(packet)) = incoming.message().await {
        match packet.r#type() {
            PacketType::PacketReq => {
                if wishes.send(packet.id).is_err() {
                    return;
                }
            }
            PacketType::PacketFin => {
                let _ = outgoing.send(Ok(of_type(PacketType::PacketFin))).await;
                return;
            }
            PacketType::PacketErr => return,
            PacketType::PacketStat | PacketType::PacketData => {}
        }
    }
}

struct Lister {
    folders: Folders,
    root: PathBuf,
    files: Files,
    outgoing: Outgoing,
}

impl Lister {
    fn list(self, asked: &meta::Asked) {
        let wanted = match Wanted::new(&self.root, &asked.include, &asked.exclude, &asked.follow) {
            Ok(wanted) => wanted,
            Err(error) => {
                let _ = self
                    .outgoing
                    .blocking_send(Err(Status::invalid_argument(error.to_string())));
                return;
            }
        };
        let mut number = 0;
        let done = walk(&self.root, &wanted, &mut |stat: Stat| {
            if stat.mode & go_mode::NOT_A_FILE == 0 {
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files.insert(number, PathBuf::from(&stat.path));
            }
            number += 1;
            let mut packet = of_type(PacketType::PacketStat);
            packet.stat = Some(stat);
            match self.outgoing.blocking_send(Ok(packet)) {
                Ok(()) => Going::On,
                Err(_) => Going::Over,
            }
        });
        // An entry without a name ends the list.
        let last = match done {
            Ok(()) => Ok(of_type(PacketType::PacketStat)),
            Err(error) => Err(self.folders.fail(&error)),
        };
        let _ = self.outgoing.blocking_send(last);
    }
}

struct Reader {
    folders: Folders,
    root: PathBuf,
    files: Files,
    outgoing: Outgoing,
}

impl Reader {
    fn read_all(self, mut wished: UnboundedReceiver<u32>) {
        while let Some(id) = wished.blocking_recv() {
            let file = {
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files.remove(&id)
            };
            let Some(file) = file else {
                let error = Status::invalid_argument(format!("there is no file number {id}"));
                let _ = self.outgoing.blocking_send(Err(error));
                return;
            };
            if self.read(id, &self.root.join(file)) == Going::Over {
                return;
            }
        }
    }

    fn read(&self, id: u32, path: &Path) -> Going {
        let send = |message| match self.outgoing.blocking_send(message) {
            Ok(()) => Going::On,
            Err(_) => Going::Over,
        };
        let fail = |source| {
            let path = path.to_owned();
            let _ = send(Err(self.folders.fail(&Unreadable { path, source })));
            Going::Over
        };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return fail(error),
        };
        loop {
            let mut piece = vec![0; PIECE];
            let read = match file.read(&mut piece) {
                Ok(read) => read,
                Err(error) => return fail(error),
            };
            piece.truncate(read);
            let mut packet = of_type(PacketType::PacketData);
            packet.id = id;
            packet.data = piece;
            // A piece without bytes ends the file.
            if send(Ok(packet)) == Going::Over {
                return Going::Over;
            }
            if read == 0 {
                return Going::On;
            }
        }
    }
}

fn of_type(kind: PacketType) -> Packet {
    Packet {
        r#type: kind.into(),
        ..Packet::default()
    }
}
