//! The program that is copied into the container: this one, or the one that
//! `STAGECRAFT_HELPER` names, where it fits.

use std::path::PathBuf;

use crate::model::fault::Fault;

/// # Errors
/// Unreadable, for another system or processor, or in need of libraries that
/// the image may not have.
pub(super) async fn read(platform: &str) -> Result<Vec<u8>, Fault> {
    let path = match std::env::var_os("STAGECRAFT_HELPER") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()
            .map_err(|error| Fault::internal("this program has no file").caused_by(&error))?,
    };
    let bytes = tokio::fs::read(&path).await.map_err(|error| {
        Fault::config(format!("cannot read the program {}", path.display())).caused_by(&error)
    })?;
    match unfit(&bytes, platform) {
        None => Ok(bytes),
        Some(why) => Err(Fault::config(format!(
            "the program {} cannot run in a container of {platform}",
            path.display()
        ))
        .because(why)
        .hint(format!(
            "let `STAGECRAFT_HELPER` name a static build of this version for {platform}"
        ))),
    }
}

/// Why these bytes are no static program of `platform` (`linux/amd64`).
fn unfit(elf: &[u8], platform: &str) -> Option<String> {
    const X86_64: u16 = 62;
    const AARCH64: u16 = 183;
    const INTERPRETER: u32 = 3;
    let short = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    // 64 bits, little end first.
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Some("it is not a Linux program of 64 bits".to_owned());
    }
    let (machine, wanted) = (short(18), platform.split('/').nth(1).unwrap_or_default());
    let made_for = match machine {
        Some(X86_64) => "amd64",
        Some(AARCH64) => "arm64",
        _ => "another processor",
    };
    if made_for != wanted {
        return Some(format!("it is made for {made_for}"));
    }
    let headers = || -> Option<Vec<u32>> {
        let start = u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?);
        let start = usize::try_from(start).ok()?;
        let (size, count) = (usize::from(short(54)?), usize::from(short(56)?));
        (0..count)
            .map(|index| {
                let at = start.checked_add(index.checked_mul(size)?)?;
                Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?))
            })
            .collect()
    };
    match headers() {
        None => Some("it is damaged".to_owned()),
        Some(kinds) if kinds.contains(&INTERPRETER) => {
            Some("it is not static: it needs libraries that the image may not have".to_owned())
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::unfit;

    fn elf(machine: u16, kind: u32) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        elf[32..40].copy_from_slice(&64_u64.to_le_bytes());
        elf[54..56].copy_from_slice(&56_u16.to_le_bytes());
        elf[56..58].copy_from_slice(&1_u16.to_le_bytes());
        elf[64..68].copy_from_slice(&kind.to_le_bytes());
        elf
    }

    #[test]
    fn only_a_static_program_for_the_host_fits() {
        let says = |elf: &[u8]| unfit(elf, "linux/amd64").unwrap_or_default();
        assert_eq!(says(&elf(62, 1)), "");
        assert_eq!(says(&elf(183, 1)), "it is made for arm64");
        assert!(says(&elf(62, 3)).contains("not static"));
        assert!(says(b"#!/bin/sh").contains("not a Linux program"));
        assert!(says(&elf(62, 1)[..60]).contains("damaged"));
    }
}
