use super::super::args::{Globals, RehearseArgs};
use super::super::failure::Failure;
use crate::ui::Ui;
pub(super) async fn rehearse(_: &RehearseArgs, _: &Globals, _: &Ui) -> Result<u8, Failure> {
    Ok(0)
}
