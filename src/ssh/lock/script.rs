//! What a host runs for its part of the environment lock, for any `sh`: `flock`
//! and `timeout`, or perl where a system has neither. Imports `model`.
//!
//! `lock` in the state folder is only ever locked, never removed; `holder` beside
//! it says whose it is, and counts only while `lock` is locked.

use crate::model::names::{EnvironmentName, ProjectName};

use super::super::state::folder_script;

/// The file is read, not written, so that every user who sees it can lock it.
const TOOLS: &str = r#"
try() {
  if command -v flock >/dev/null 2>&1; then flock -n "-$1" 9
  else perl -e 'use Fcntl ":flock"; open(F, "<&=9") or exit 2; exit(flock(F, ($ARGV[0] eq "x" ? LOCK_EX : LOCK_SH) | LOCK_NB) ? 0 : 1)' "$1"; fi
}
within() {
  if command -v timeout >/dev/null 2>&1; then timeout "$@"
  else perl -e 'alarm shift; exec @ARGV' "$@"; fi
}
held() { [ -r lock ] && exec 9<lock && ! try s; }
"#;

/// Reads the holder's line, answers `LOCKED`, `BUSY …` or `CANNOT …`, then
/// returns every line it is sent. Ends, and frees the lock, when its input ends
/// or is silent for 30 seconds. Each line is read by a process of its own: only
/// a whole `read` leaves the following lines alone, and only a process can be
/// given a limit in every shell.
pub(super) fn hold(project: &ProjectName, environment: &EnvironmentName) -> String {
    let folder = folder_script(project, environment);
    format!(
        r#"{folder}{TOOLS}
command -v flock >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 || {{ echo 'CANNOT neither flock nor perl is installed there'; exit; }}
IFS= read -r holder || exit
why=$(mkdir -p "$d" 2>&1 && cd "$d" 2>&1) || {{ printf 'CANNOT %s\n' "$why" | tr '\n' ' '; echo; exit; }}
cd "$d"
[ -e lock ] || : >>lock || {{ echo "CANNOT its user may not write in $d"; exit; }}
exec 9<lock
try x || {{ sleep 0.2; try x; }} || {{ IFS= read -r other <holder; printf 'BUSY %s\n' "$other"; exit; }}
printf '%s\n%s\n' "$holder" $$ >holder.$$ && mv -f holder.$$ holder || {{ rm -f holder.$$; echo "CANNOT its user may not write in $d"; exit; }}
echo LOCKED
while beat=$(exec 9<&-; within 30 sh -c 'IFS= read -r line && printf "%s\n" "$line"'); do printf '%s\n' "$beat"; done
rm -f holder
"#
    )
}

/// Prints the holder's line while the lock is held. Makes nothing.
pub(super) fn show(project: &ProjectName, environment: &EnvironmentName) -> String {
    let folder = folder_script(project, environment);
    format!(
        r#"{folder}{TOOLS}
cd "$d" 2>/dev/null && held || exit 0
IFS= read -r holder <holder && printf '%s\n' "$holder"
"#
    )
}

/// Ends the process that holds the lock and prints whose it was.
pub(super) fn break_open(project: &ProjectName, environment: &EnvironmentName) -> String {
    let folder = folder_script(project, environment);
    format!(
        r#"{folder}{TOOLS}
cd "$d" 2>/dev/null && held || exit 0
{{ IFS= read -r holder; IFS= read -r pid; }} <holder && kill "$pid" || exit 1
rm -f holder
printf '%s\n' "$holder"
"#
    )
}
