//! Docker Hub: one push, of `repository.repo_name` and `push_data.tag`.

use serde::Deserialize;

use super::reading::{Malformed, Pushed, Reading};

#[derive(Deserialize)]
struct Hook {
    repository: Repository,
    push_data: PushData,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: String,
}

#[derive(Deserialize)]
struct PushData {
    tag: Option<String>,
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let Hook { repository, push_data } = reading.json()?;
    reading.push("docker.io", &repository.repo_name, Pushed { tag: push_data.tag.as_deref(), digest: None })
}
