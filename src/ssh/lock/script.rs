//! What a host runs for its part of the environment lock, for any `sh`: `flock`
//! and `timeout`, or perl where a system has neither. Imports `model`.
//!
//! `lock` in the state folder is only ever locked, never removed; `holder` beside
//! it says whose it is, and counts only while `lock` is locked.
//!
//! A user whose state folder is another one cannot see these two. For them a
//! holder puts up a notice in `/tmp`, a file of its own name that counts only
//! while it is locked too, and looks for those of others only then: of two who
//! come at once, one at least sees the other.
//!
//! `released` says when a holder last let go: its claim on the engine may linger.

use crate::model::names::{EnvironmentName, ProjectName};

use super::super::state::folder_script;

/// The file is read, not written, so that every user who sees it can lock it.
const TOOLS: &str = r#"
try() {
  if command -v flock >/dev/null 2>&1; then flock -n "-$1" "${2:-9}"
  else perl -e 'use Fcntl ":flock"; open(F, "<&=$ARGV[1]") or exit 2; exit(flock(F, ($ARGV[0] eq "x" ? LOCK_EX : LOCK_SH) | LOCK_NB) ? 0 : 1)' "$1" "${2:-9}"; fi
}
within() {
  if command -v timeout >/dev/null 2>&1; then timeout "$@"
  else perl -e 'alarm shift; exec @ARGV' "$@"; fi
}
held() { [ -r lock ] && exec 9<lock && ! try s; }
"#;

/// `elsewhere` finds who holds the lock with another state folder: `other` is
/// the notice then, whose two lines say who, and where. `notice` is our own.
fn notices(project: &ProjectName, environment: &EnvironmentName) -> String {
    format!(
        r#"n=/tmp/stagecraft.{project}.{environment}
locked() {{ {{ ! try s 8; }} 8<"$1"; }}
elsewhere() {{
  for other in "$n".??????.held; do
    [ "$other" != "$notice" ] && [ -f "$other" ] && [ -r "$other" ] && locked "$other" && return
  done
  return 1
}}
let_go() {{ rm -f holder "$notice"; date +%s >released; }}
"#
    )
}

/// Reads the holder's line, answers `LOCKED` (and how many seconds ago a holder
/// last let go), `BUSY …`, `ELSEWHERE …` or `CANNOT …`, then returns every line
/// it is sent. Ends, and frees the lock, when its input ends or is silent for 30
/// seconds. Each line is read by a process of its own: only a whole `read`
/// leaves the following lines alone, and only a process can be given a limit in
/// every shell.
pub(super) fn hold(project: &ProjectName, environment: &EnvironmentName) -> String {
    let folder = folder_script(project, environment);
    let notices = notices(project, environment);
    format!(
        r#"{folder}{TOOLS}{notices}
command -v flock >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 || {{ echo 'CANNOT neither flock nor perl is installed there'; exit; }}
IFS= read -r holder || exit
why=$(mkdir -p "$d" 2>&1 && cd "$d" 2>&1) || {{ printf 'CANNOT %s\n' "$why" | tr '\n' ' '; echo; exit; }}
cd "$d"
[ -e lock ] || : >>lock || {{ echo "CANNOT its user may not write in $d"; exit; }}
exec 9<lock
try x || {{ sleep 0.2; try x; }} || {{ IFS= read -r other <holder; printf 'BUSY %s\n' "$other"; exit; }}
for old in "$n".??????*; do
  [ -f "$old" ] && [ -r "$old" ] && {{ try x 8 && rm -f "$old"; }} 8<"$old" 2>/dev/null
done
notice=$(mktemp "$n.XXXXXX") && printf '%s\n%s\n' "$holder" "$d" >"$notice" && chmod 644 "$notice" && exec 8<"$notice" && try x 8 && mv "$notice" "$notice.held" || {{ echo "CANNOT its user may not write in /tmp"; exit; }}
notice=$notice.held
elsewhere && {{ {{ IFS= read -r holder; IFS= read -r folder; }} <"$other"; rm -f "$notice"; printf 'ELSEWHERE %s\t%s\n' "$holder" "$folder"; exit; }}
printf '%s\n%s\n%s\n' "$holder" $$ "$notice" >holder.$$ && mv -f holder.$$ holder || {{ rm -f holder.$$ "$notice"; echo "CANNOT its user may not write in $d"; exit; }}
ago=
[ -r released ] && IFS= read -r when <released && ago=$(($(date +%s) - ${{when:-0}}))
echo "LOCKED $ago"
while beat=$(exec 9<&- 8<&-; within 30 sh -c 'IFS= read -r line && printf "%s\n" "$line"'); do printf '%s\n' "$beat"; done
let_go
"#
    )
}

/// Prints the holder's line while the lock is held. Makes nothing.
pub(super) fn show(project: &ProjectName, environment: &EnvironmentName) -> String {
    let folder = folder_script(project, environment);
    let notices = notices(project, environment);
    format!(
        r#"{folder}{TOOLS}{notices}
if cd "$d" 2>/dev/null && held; then IFS= read -r holder <holder
elif elsewhere; then IFS= read -r holder <"$other"
else exit 0; fi
printf '%s\n' "$holder"
"#
    )
}

/// Ends the process that holds the lock and prints whose it was.
pub(super) fn break_open(project: &ProjectName, environment: &EnvironmentName) -> String {
    let folder = folder_script(project, environment);
    let notices = notices(project, environment);
    format!(
        r#"{folder}{TOOLS}{notices}
cd "$d" 2>/dev/null && held || {{
  elsewhere || exit 0
  echo "it is held with the state folder $(sed -n 2p "$other"), by another user: only that user can release it" >&2
  exit 1
}}
{{ IFS= read -r holder; IFS= read -r pid; IFS= read -r notice || :; }} <holder && kill "$pid" || exit 1
let_go
printf '%s\n' "$holder"
"#
    )
}
