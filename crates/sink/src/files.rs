//! Files in a directory of the server.

use std::path::Path;

use std::time::Duration;

use annals_store::ObjectWriter;

use crate::Sink;
use crate::kind::{Kind, Surroundings};
use crate::objects::{self, ObjectSink, Owner};
use crate::reason::{Secrets, cause};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};

const DIRECTORY: &str = "directory";

pub(crate) const KIND: Kind = Kind {
    name: "files",
    label: "Files",
    about: "Writes each batch as a file of lines under a directory, by hour; a file is on disk before its events count as received.",
    settings: &[
        Setting::new(
            DIRECTORY,
            "Directory",
            "Whole path of the directory, such as `/var/lib/annals/archive`; it is made if it is missing.",
            SettingKind::Line,
        )
        .required(),
        objects::GZIP,
        objects::LINGER.or("10"),
    ],
    is_local: true,
    is_single: false,
    open,
};

fn open(settings: &Settings, surroundings: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let dir = Path::new(settings.get(DIRECTORY));
    let fault = |what: String| SettingFault::new(DIRECTORY, what);
    if !dir.is_absolute() {
        return Err(fault("a whole path such as `/var/lib/annals/archive` is expected".to_owned()));
    }
    let writer =
        ObjectWriter::directory(dir).map_err(|error| fault(format!("{error}: {}", cause(&error))))?;
    Ok(Box::new(ObjectSink {
        writer,
        linger: Duration::from_secs(settings.number(objects::LINGER.name)),
        is_gzip: settings.is_on(objects::GZIP.name),
        owner: Owner::of(surroundings),
        is_json: surroundings.is_json,
        secrets: Secrets::default(),
    }))
}
