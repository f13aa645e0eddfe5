//! `hallpass presets new`: a complete list to start from.

use ipc::Error;

use super::files;
use crate::args::PresetsNew;
use crate::output::Output;

pub(super) fn run(options: &PresetsNew, out: Output) -> Result<(), Error> {
    let text = preset::starter(files::now());
    let Some(path) = &options.file else {
        out.line(text.trim_end());
        return Ok(());
    };
    files::create(path, &text)?;
    out.line(format!("wrote {}", path.display()));
    out.talk("  change its names and URLs; hallpass presets schema says what each field means");
    out.talk(format!("  next: hallpass presets lint {}", path.display()));
    Ok(())
}
