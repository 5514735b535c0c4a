//! `cargo wavetank list`: the simulations of the selected packages.

use serde_json::json;

use crate::arguments::List;
use crate::cargo::{Scope, Workspace};
use crate::error::Problem;
use crate::recording::{Recording, all_below};
use crate::simulations;

/// Runs the command.
pub(crate) fn run(arguments: &List) -> Result<bool, Problem> {
    let workspace = Workspace::load(&arguments.build)?;
    let found = simulations::build(&workspace, &arguments.build, &Scope::default())?;
    let found = simulations::select(found, &arguments.filters)?;
    let files = all_below(&workspace.root.join("seeds"));
    let recordings: Vec<Recording> = files.iter().filter_map(|path| Recording::load(path).ok()).collect();
    let mut heading = String::new();
    for test in &found {
        let count = recordings.iter().filter(|recording| recording.test == test.name).count();
        if arguments.json {
            let mut line = test.json();
            line["recordings"] = json!(count);
            println!("{line}");
            continue;
        }
        let target = format!("{} {}", test.package, test.target);
        if heading != target {
            println!("{target}");
            heading = target;
        }
        let source = simulations::source(&workspace.root, &test.file);
        let source = source.strip_prefix(&workspace.root).unwrap_or(&source);
        println!("  {}  ({}:{})", test.path, source.display(), test.line);
        let mut facts = vec![format!("{} seeds", test.seeds)];
        facts.extend(test.finds.as_ref().map(|symptom| format!("must find `{symptom}`")));
        match count {
            0 => {}
            1 => facts.push("1 recording".to_owned()),
            count => facts.push(format!("{count} recordings")),
        }
        println!("      {}", facts.join(", "));
    }
    Ok(true)
}
