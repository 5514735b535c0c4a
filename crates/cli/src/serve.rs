//! `cargo wavetank serve --mcp`: the commands as tools of the Model Context Protocol, for editors and agents.
//!
//! Messages are JSON-RPC 2.0, one a line, on standard input and output. A tool's result is a text of JSON.

use std::io::{BufRead as _, Write as _};
use std::num::NonZeroU32;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::{Build, EXPLAIN_RUNS, Serve, Sweep, duration, seed};
use crate::cargo::{Scope, Workspace};
use crate::error::Problem;
use crate::explain;
use crate::load::{self, tail};
use crate::process::Interrupt;
use crate::recording::Recording;
use crate::show;
use crate::simulations;
use crate::sweep;
use crate::trace::{Trace, messages};

/// The newest version of the protocol that is spoken here.
const PROTOCOL: &str = "2025-06-18";

/// Events in one answer.
const EVENTS_MAX: usize = 200;

/// Runs the command until standard input ends.
pub(crate) fn run(arguments: &Serve) -> Result<bool, Problem> {
    let server = Server { build: &arguments.build, interrupt: Interrupt::install() };
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(message) => server.answer(&message),
            Err(error) => Some(failure(&Value::Null, -32700, &error.to_string())),
        };
        if let Some(answer) = answer {
            writeln!(stdout, "{answer}")?;
            stdout.flush()?;
        }
    }
    Ok(true)
}

fn failure(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

struct Server<'a> {
    build: &'a Build,
    interrupt: Interrupt,
}

impl Server<'_> {
    /// Answers a message. A notification has no answer.
    fn answer(&self, message: &Value) -> Option<Value> {
        let id = message.get("id")?;
        let parameters = &message["params"];
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": parameters["protocolVersion"].as_str().unwrap_or(PROTOCOL),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "cargo-wavetank", "version": env!("CARGO_PKG_VERSION")},
            }),
            "ping" => json!({}),
            "tools/list" => json!({"tools": tools()}),
            "tools/call" => {
                let name = parameters["name"].as_str().unwrap_or_default();
                if tools().as_array().is_none_or(|tools| tools.iter().all(|tool| tool["name"] != name)) {
                    return Some(failure(id, -32602, &format!("no tool is called `{name}`")));
                }
                let called = self.call(name, &parameters["arguments"]);
                let is_error = called.is_err();
                let text = called.map_or_else(|problem| problem.to_string(), |value| value.to_string());
                json!({"content": [{"type": "text", "text": text}], "isError": is_error})
            }
            other => return Some(failure(id, -32601, &format!("no method is called `{other}`"))),
        };
        Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
    }

    fn call(&self, name: &str, arguments: &Value) -> Result<Value, Problem> {
        match name {
            "list" => self.list(arguments),
            "sweep" => self.sweep(arguments),
            "replay" | "why" => self.replay(arguments),
            "explain" => self.explain(arguments),
            "show" => Ok(json!({"text": show::text(&self.trace(arguments)?)})),
            _ => query(&self.trace(arguments)?, arguments),
        }
    }

    fn build(&self, arguments: &Value) -> Build {
        let mut build = self.build.clone();
        build.packages.extend(arguments["package"].as_str().map(str::to_owned));
        build
    }

    fn simulations(&self, arguments: &Value) -> Result<Vec<simulations::Test>, Problem> {
        let build = self.build(arguments);
        let workspace = Workspace::load(&build)?;
        let found = simulations::build(&workspace, &build, &Scope::default())?;
        let filters: Vec<String> = arguments["test"].as_str().map(str::to_owned).into_iter().collect();
        simulations::select(found, &filters)
    }

    fn list(&self, arguments: &Value) -> Result<Value, Problem> {
        Ok(self.simulations(arguments)?.iter().map(simulations::Test::json).collect())
    }

    fn sweep(&self, arguments: &Value) -> Result<Value, Problem> {
        let time = arguments["time"].as_str().map(duration).transpose().map_err(Problem::new)?;
        let options = Sweep {
            seeds: arguments["seeds"].as_u64(),
            time,
            others: arguments["others"] == true,
            keep_going: true,
            json: true,
            ..Sweep::default()
        };
        let found = self.simulations(arguments)?;
        let outcomes = sweep::sweep(&found, &options, &self.interrupt, |_| Ok(()))?;
        let results = outcomes.iter().map(|outcome| {
            let mut result = outcome.json();
            // A set of schedules is for `merge`.
            if let Some(members) = result.as_object_mut() {
                members.remove("places");
            }
            result
        });
        Ok(results.collect())
    }

    /// Replays a recording or a seed, up to an event if the arguments name one.
    fn replay(&self, arguments: &Value) -> Result<Value, Problem> {
        let build = self.build(arguments);
        let (test, mut variables) = match arguments["file"].as_str() {
            Some(file) => {
                let workspace = Workspace::load(&build)?;
                let path = load::existing(&workspace.root, Path::new(file));
                let recording = Recording::load(&path)?;
                (simulations::named(&workspace, &build, &recording.test)?, load::variables_of(&path)?)
            }
            None => {
                let text =
                    arguments["seed"].as_str().map(str::to_owned).unwrap_or(arguments["seed"].to_string());
                let seed = seed(&text)
                    .map_err(|error| Problem::new(format!("`file` or `seed` is needed: {error}")))?;
                let mut found = self.simulations(arguments)?;
                if found.len() != 1 {
                    return Err(Problem::new("a seed needs the name of one test in `test`"));
                }
                (found.remove(0), vec![("WAVETANK_SEED", format!("{seed:#x}"))])
            }
        };
        let until = arguments["event"].as_u64();
        variables.extend(until.map(|event| ("WAVETANK_UNTIL", event.to_string())));
        let replayed = load::replay(&test, &variables, &self.interrupt)?;
        let Some(trace) = &replayed.trace else {
            return Err(Problem::new(format!("there is no run to show\n{}", tail(&replayed.ended.output))));
        };
        if until.is_some() {
            let last = trace.events.last().map(|event| Value::Object(event.members.clone()));
            return Ok(json!({"event": last, "waits": trace.waits()}));
        }
        let failure = replayed.failure.as_ref();
        Ok(json!({
            "test": trace.test(),
            "seed": trace.head["seed"],
            "symptom": trace.symptom(),
            "events": trace.events.len(),
            "failure_event": trace.failure().map(|event| event.number),
            "recording": failure.map(|failure| &failure["recording"]),
        }))
    }

    /// Measures after which choice of a recording its failure is certain.
    fn explain(&self, arguments: &Value) -> Result<Value, Problem> {
        let runs = arguments["runs"]
            .as_u64()
            .map_or(Some(EXPLAIN_RUNS), |runs| u32::try_from(runs).ok().and_then(NonZeroU32::new));
        let runs = runs.ok_or_else(|| Problem::new("`runs` is a number from 1 on"))?;
        explain::json(&self.build(arguments), file(arguments)?, runs, &self.interrupt)
    }

    fn trace(&self, arguments: &Value) -> Result<Trace, Problem> {
        load::trace(file(arguments)?, &self.build(arguments))
    }
}

fn file(arguments: &Value) -> Result<&Path, Problem> {
    let file = arguments["file"].as_str().map(Path::new);
    file.ok_or_else(|| Problem::new("`file` is needed: a recording, or a trace"))
}

/// The events of a trace that match.
fn query(trace: &Trace, arguments: &Value) -> Result<Value, Problem> {
    let text = |name: &str| arguments[name].as_str().map(str::to_lowercase);
    let (task, kind, words) = (text("task"), text("kind"), text("text"));
    let from = arguments["from"].as_u64().unwrap_or(0);
    let to = arguments["to"].as_u64().unwrap_or(u64::MAX);
    let contains = |text: &str, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| text.to_lowercase().contains(wanted.as_str()))
    };
    let pairs = messages(trace);
    let number = |index: usize| trace.events[index].number;
    let mut found = Vec::new();
    let mut more = 0;
    for (index, event) in trace.events.iter().enumerate() {
        let is_wanted = (from..=to).contains(&event.number)
            && contains(event.task.as_deref().unwrap_or_default(), &task)
            && contains(&event.kind, &kind)
            && contains(&event.text, &words);
        if !is_wanted {
            continue;
        }
        if found.len() == EVENTS_MAX {
            more += 1;
            continue;
        }
        let mut members = event.members.clone();
        let partners = pairs.iter().filter_map(|message| match message.received {
            Some(received) if message.sent == index => Some(number(received)),
            Some(received) if received == index => Some(number(message.sent)),
            _ => None,
        });
        let partners: Vec<u64> = partners.collect();
        if !partners.is_empty() {
            members.insert("other_end".to_owned(), json!(partners));
        }
        found.push(Value::Object(members));
    }
    Ok(json!({"events": found, "more": more}))
}

/// The tools with their arguments.
fn tools() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let number = |about: &str| json!({"type": "integer", "description": about});
    let package = text("the package whose tests to build; without it, as `cargo test`");
    let test = text("a part of the names of tests");
    let file = text("a recording (seeds/…/*.seed), or a trace that `show --json` wrote");
    let tool = |name: &str, about: &str, properties: Value, required: &[&str]| {
        json!({
            "name": name,
            "description": about,
            "inputSchema": {"type": "object", "properties": properties, "required": required},
        })
    };
    json!([
        tool(
            "list",
            "Lists the simulations: tests with #[wavetank::test].",
            json!({"package": package, "test": test}),
            &[]
        ),
        tool(
            "sweep",
            "Runs many seeds of simulations. Reports failures with their recordings.",
            json!({
                "package": package, "test": test, "seeds": number("seeds of each test"),
                "time": text("stop after so long: 30s, 5m"),
                "others": {"type": "boolean", "description": "go on after a failure, for other symptoms"},
            }),
            &[],
        ),
        tool(
            "replay",
            "Replays a recording or a seed, and says how it ends.",
            json!({"file": file, "seed": text("a seed, with `test`"), "package": package, "test": test}),
            &[],
        ),
        tool(
            "why",
            "Replays up to an event, and says what each task and thread waits for at that moment.",
            json!({
                "file": file, "seed": text("a seed, with `test`"), "event": number("the number of the event"),
                "package": package, "test": test,
            }),
            &["event"],
        ),
        tool(
            "explain",
            "Says after which choice of a recording its failure is certain: how many runs fail that keep its first \
             choices and draw the others anew.",
            json!({"file": file, "runs": number("runs at each point, by default 20"), "package": package}),
            &["file"],
        ),
        tool("show", "Returns the trace of a run as text.", json!({"file": file}), &["file"]),
        tool(
            "query",
            "Returns the events of a run that match all arguments, each with the event at the other end of its \
             message.",
            json!({
                "file": file, "task": text("a part of a task's name"),
                "kind": text("network, fault, logged, panicked, …"),
                "text": text("a part of the event's text"), "from": number("first event"), "to": number("last event"),
            }),
            &["file"],
        ),
    ])
}
