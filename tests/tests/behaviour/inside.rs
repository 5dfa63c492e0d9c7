//! Calls of the data source from functions that it runs while it is locked (I18, I19): each kind of function with each call. None
//! waits for itself: it fails with `Callback`, or panics where it gives no error; what was under way ends, and nothing is lost.
//! Functions that run while nothing is locked are in `callbacks`, handlers of events in `callers`.

use crate::calls::{Call, Says, calls};
use crate::help::{failures, kind, model, record, rows, serving, within};
use landfall::{
    Accessor, DataSource, Date, Error, ErrorKind, Field, Filter, Group, QueryOptions, Schema, Sort, Uid, Value,
    WeakDataSource, Zone,
    storage::MemoryStorage,
    transport::{Fault, MockServer, Operation as Kind},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
};

/// Makes the call when its data source is known, and notes what became of it.
#[derive(Clone)]
struct Caller {
    call: Call,
    /// How often the function runs without a call first.
    spared: Arc<Mutex<u32>>,
    knows: Arc<Mutex<Option<(WeakDataSource, Uid)>>>,
    said: Arc<Mutex<Vec<Result<(), ErrorKind>>>>,
    panicked: Arc<Mutex<u32>>,
}

impl Caller {
    fn of(call: Call, spared: u32) -> Self {
        Self {
            call,
            spared: Arc::new(Mutex::new(spared)),
            knows: Arc::default(),
            said: Arc::default(),
            panicked: Arc::default(),
        }
    }

    fn act(&self) {
        let known = {
            let (mut knows, mut spared) = (self.knows.lock().unwrap(), self.spared.lock().unwrap());
            if *spared > 0 {
                *spared -= u32::from(knows.is_some());
                return;
            }
            // Once: most functions are called for every row.
            knows.take()
        };
        let Some((source, uid)) = known.and_then(|(weak, uid)| Some((weak.upgrade()?, uid))) else { return };
        match catch_unwind(AssertUnwindSafe(|| (self.call)(&source, uid))) {
            Ok(told) => {
                if let Err(error) = &told {
                    assert!(!error.operation().is_empty(), "the call is named");
                }
                self.said.lock().unwrap().push(told.map_err(|error| error.kind().clone()));
            }
            Err(panic) => {
                if let Some(words) = panic.downcast_ref::<String>() {
                    let told = "the data source was called from a function that it was running";
                    assert!(words.contains(told), "{words}");
                }
                *self.panicked.lock().unwrap() += 1;
                resume_unwind(panic);
            }
        }
    }
}

struct Stage {
    server: MockServer,
    source: DataSource,
    storage: MemoryStorage,
    uid: Uid,
    caller: Caller,
    make: fn(&Caller) -> Schema,
}

fn built(server: &MockServer, storage: &MemoryStorage, caller: &Caller, make: fn(&Caller) -> Schema) -> DataSource {
    let (judges, ticks) = (caller.clone(), caller.clone());
    DataSource::builder()
        .transport(server.clone())
        .schema(make(caller))
        .storage(storage.clone(), "rows")
        .batch(true)
        .failure_policy(move |tried| {
            // The clock's turn is another scenario.
            if tried.error.status() == Some(500) {
                judges.act();
            }
            None
        })
        .clock(move || {
            if std::thread::current().name() == Some("clock") {
                ticks.act();
            }
            Date::from_millis(1_700_000_000_000)
        })
        .build()
        .unwrap()
}

type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A function of the program's: a schema that has it, and what makes the data source call it.
struct Function {
    name: &'static str,
    schema: fn(&Caller) -> Schema,
    run: for<'a> fn(&'a Stage) -> Work<'a>,
}

fn plain(_: &Caller) -> Schema {
    Schema::new().with_model(model())
}

fn parsing(caller: &Caller) -> Schema {
    let caller = caller.clone();
    let name = Field::new("name").parse_with(move |value| {
        caller.act();
        value.cloned()
    });
    Schema::new().with_model(model().field(Field::new("id").number()).field(name).field(Field::new("list")))
}

fn with_defaults(caller: &Caller) -> Schema {
    let caller = caller.clone();
    let name = Field::new("name").default_with(move || {
        caller.act();
        Value::from("new")
    });
    Schema::new().with_model(model().field(Field::new("id").number()).field(name).field(Field::new("list")))
}

fn with_default_id(caller: &Caller) -> Schema {
    let caller = caller.clone();
    let id = Field::new("id").number().default_with(move || {
        caller.act();
        Value::from(0)
    });
    Schema::new().with_model(model().field(id).field(Field::new("name")))
}

fn with_zone(caller: &Caller) -> Schema {
    let caller = caller.clone();
    let zone = Zone::new(move |_| {
        caller.act();
        3600
    });
    Schema::new().with_model(model().field(Field::new("when").date()).field(Field::new("name"))).with_zone(zone)
}

fn serializing(caller: &Caller) -> Schema {
    let caller = caller.clone();
    plain(&caller).serialize_with(move |rows| {
        caller.act();
        Value::array(rows.into_iter().map(Value::from))
    })
}

fn answering(caller: &Caller) -> Schema {
    let caller = caller.clone();
    plain(&caller).parse(move |answer| {
        caller.act();
        answer
    })
}

fn placing(caller: &Caller) -> Schema {
    let caller = caller.clone();
    let errors = caller.clone();
    let schema = plain(&caller).errors(Accessor::function(move |answer| {
        if answer.as_array().is_none_or(|rows| rows.len() < 2) {
            errors.act();
        }
        None
    }));
    schema.data(Accessor::function(move |answer| {
        if answer.as_array().is_some_and(|rows| rows.len() > 1) {
            caller.act();
        }
        Some(answer.clone())
    }))
}

/// Makes a call whose panic is the function's.
fn quiet<T>(stage: &Stage, call: impl FnOnce() -> Result<T, Error>) {
    let told = catch_unwind(AssertUnwindSafe(call));
    assert_eq!(told.is_err(), *stage.caller.panicked.lock().unwrap() > 0);
    if let Ok(told) = told {
        told.map(drop).unwrap();
    }
}

/// The end of an operation whose function may have panicked.
fn ended<T>(stage: &Stage, told: Result<T, Error>) {
    if *stage.caller.panicked.lock().unwrap() > 0 {
        assert_eq!(kind(told), ErrorKind::Callback);
    } else {
        told.map(drop).unwrap();
    }
}

impl Stage {
    fn arm(&self, source: &DataSource) {
        *self.caller.knows.lock().unwrap() = Some((source.downgrade(), self.uid));
    }
}

/// The answer to a write is read while the data source is locked. The change is in doubt when that panics.
async fn written(stage: &Stage) {
    drop(stage.source.online(true).await.unwrap());
    stage.arm(&stage.source);
    let report = stage.source.sync().await.unwrap();
    let panicked = *stage.caller.panicked.lock().unwrap() > 0;
    assert_eq!(failures(&report), if panicked { vec![ErrorKind::Callback] } else { vec![] });
}

async fn read(stage: &Stage) {
    drop(stage.source.online(true).await.unwrap());
    stage.arm(&stage.source);
    ended(stage, stage.source.read().await);
}

fn functions() -> Vec<Function> {
    vec![
        Function {
            name: "parse_with",
            schema: parsing,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    quiet(stage, || stage.source.set(stage.uid, "name", "x"));
                })
            },
        },
        Function {
            name: "parse_with of a stored row",
            schema: parsing,
            run: |stage| {
                Box::pin(async {
                    let other = built(&stage.server, &stage.storage, &stage.caller, stage.make);
                    stage.arm(&other);
                    ended(stage, other.restore().await);
                    other.restore().await.unwrap();
                    assert_eq!((other.len(), other.pending().len()), (3, 1));
                    // As shown before any function ran; the next part of the test is about this one's neighbour.
                    drop(other);
                })
            },
        },
        Function {
            name: "default_with",
            schema: with_defaults,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    quiet(stage, || stage.source.add(record("{}")));
                })
            },
        },
        Function {
            name: "default_with of the id",
            schema: with_default_id,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    let uid = stage.source.add(record(r#"{"name":"new"}"#)).unwrap();
                    stage.source.online(true).await.unwrap();
                    assert_eq!(stage.server.count(Kind::Create), 1);
                    stage.source.remove(uid).unwrap();
                    drop(stage.source.sync().await.unwrap());
                })
            },
        },
        Function {
            name: "default_with of a pushed row",
            schema: with_defaults,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    quiet(stage, || stage.source.push_create([record(r#"{"id":7,"name":"seven"}"#), record("{}")]));
                    let pushed = if *stage.caller.panicked.lock().unwrap() > 0 { 3 } else { 5 };
                    assert_eq!(stage.source.len(), pushed, "all of them or none");
                    stage.source.push_destroy([record(r#"{"id":7}"#), record(r#"{"id":0}"#)]).unwrap();
                })
            },
        },
        Function {
            name: "zone",
            schema: with_zone,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    quiet(stage, || stage.source.set(stage.uid, "when", "2024-05-01T10:00:00"));
                })
            },
        },
        Function {
            name: "filter",
            schema: plain,
            run: |stage| {
                Box::pin(async {
                    let caller = stage.caller.clone();
                    stage.arm(&stage.source);
                    ended(
                        stage,
                        stage
                            .source
                            .filter(Filter::custom(move |_| {
                                caller.act();
                                true
                            }))
                            .await,
                    );
                })
            },
        },
        Function {
            name: "filter of an edit",
            schema: plain,
            run: |stage| {
                Box::pin(async {
                    let caller = stage.caller.clone();
                    stage
                        .source
                        .filter(Filter::custom(move |_| {
                            caller.act();
                            true
                        }))
                        .await
                        .unwrap();
                    stage.arm(&stage.source);
                    stage.source.set(stage.uid, "name", "x").unwrap();
                    drop(stage.source.rows());
                })
            },
        },
        Function {
            name: "order",
            schema: plain,
            run: |stage| {
                Box::pin(async {
                    let caller = stage.caller.clone();
                    stage.arm(&stage.source);
                    ended(
                        stage,
                        stage
                            .source
                            .sort([Sort::asc("name").with_compare(move |_, _| {
                                caller.act();
                                std::cmp::Ordering::Equal
                            })])
                            .await,
                    );
                })
            },
        },
        Function {
            name: "order of groups",
            schema: plain,
            run: |stage| {
                Box::pin(async {
                    let caller = stage.caller.clone();
                    stage.arm(&stage.source);
                    ended(
                        stage,
                        stage
                            .source
                            .group([Group::asc("name").with_compare(move |_, _| {
                                caller.act();
                                std::cmp::Ordering::Equal
                            })])
                            .await,
                    );
                })
            },
        },
        Function {
            name: "policy",
            schema: plain,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    let report = stage.source.online(true).await.unwrap();
                    assert_eq!(failures(&report), [ErrorKind::Status(500)], "a policy that panics has said nothing");
                })
            },
        },
        Function {
            name: "clock",
            schema: plain,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    // The system's clock stands in for one that panics.
                    stage.source.set(stage.uid, "name", "x").unwrap();
                })
            },
        },
        Function {
            name: "serialize_with",
            schema: serializing,
            run: |stage| {
                Box::pin(async {
                    stage.arm(&stage.source);
                    let report = stage.source.online(true).await.unwrap();
                    let sent = stage.server.count(Kind::Update) > 0;
                    let told = if sent { ErrorKind::Status(500) } else { ErrorKind::Callback };
                    assert_eq!(failures(&report), [told], "of the first try, and nothing is sent that was not spelled");
                })
            },
        },
        Function { name: "parse of a write", schema: answering, run: |stage| Box::pin(written(stage)) },
        Function { name: "accessor of errors", schema: placing, run: |stage| Box::pin(written(stage)) },
        Function { name: "parse of a read", schema: answering, run: |stage| Box::pin(read(stage)) },
        Function { name: "accessor of a read", schema: placing, run: |stage| Box::pin(read(stage)) },
    ]
}

/// Whether the function ran often enough to make the call.
async fn play(function: &Function, call: Call, says: Says, spared: u32, what: &str) -> bool {
    let fault = Fault::on(Kind::Update).fail(500);
    let server = serving(r#"[{"id":1,"name":"a"},{"id":2,"name":"b"},{"id":3,"name":"c"}]"#).fault(fault).build();
    let (storage, caller) = (MemoryStorage::new(), Caller::of(call, spared));
    let source = built(&server, &storage, &caller, function.schema);
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    let uid = source.at(1).unwrap().uid();
    let stage = Stage { server, source, storage, uid, caller, make: function.schema };

    (function.run)(&stage).await;

    *stage.caller.knows.lock().unwrap() = None;
    let said = std::mem::take(&mut *stage.caller.said.lock().unwrap());
    let panicked = *stage.caller.panicked.lock().unwrap();
    let ran = !said.is_empty() || panicked > 0;
    let source = stage.source;
    source.idle().await.unwrap();
    match says {
        _ if !ran => {}
        Says::Refused => assert_eq!((&said[..], panicked), (&[Err(ErrorKind::Callback)][..], 0), "{what}"),
        Says::Panics => assert_eq!((&said[..], panicked), (&[][..], 1), "{what}"),
        Says::Works => assert_eq!((&said[..], panicked), (&[Ok(())][..], 0), "{what}"),
    }
    assert!(source.pending().len() == 1 || rows(&stage.server)[0].contains('A'), "{what}: pending or sent");
    assert_eq!(source.get(1).unwrap().get("name"), Some(&Value::from("A")), "{what}");
    source.query(QueryOptions::default()).await.unwrap();
    source.cancel_changes().unwrap();
    drop(source.online(true).await);
    // The service's one failure, where it was not met yet.
    drop(source.sync().await);
    assert!(source.sync().await.unwrap().is_success(), "{what}");
    source.read().await.unwrap();
    assert!(source.pending().is_empty() && !source.has_changes(), "{what}");
    assert_eq!(source.rows().len(), rows(&stage.server).len(), "{what}");
    let names: Vec<_> = stage.server.rows().iter().map(|row| row.get("name").cloned()).collect();
    assert_eq!(names, ["A", "b", "c"].map(|name| Some(Value::from(name))), "{what}");
    source.set(source.at(0).unwrap(), "name", "later").unwrap();
    assert!(source.sync().await.unwrap().is_success(), "{what}");
    ran
}

/// Plays on a thread of its own, so that what hangs is found, and named.
fn played(at: usize, call: Call, says: Says, spared: u32, what: &str) -> bool {
    let ran = Arc::new(Mutex::new(false));
    let (tells, of_thread) = (Arc::clone(&ran), what.to_owned());
    within(functions()[at].name, what, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        *tells.lock().unwrap() = runtime.block_on(play(&functions()[at], call, says, spared, &of_thread));
    });
    *ran.lock().unwrap()
}

/// I18: a function that panics at its nth run leaves what was there before, or what there would have been; none is half done.
#[test]
fn i18_functions_that_panic_at_any_run() {
    let mut reached = 0;
    for (at, function) in functions().iter().enumerate() {
        for spared in 1..40 {
            let what = format!("{} run {} times", function.name, spared + 1);
            if !played(at, |_, _| panic!("meant"), Says::Panics, spared, &what) {
                break;
            }
            reached = reached.max(spared);
        }
    }
    assert!(reached >= 3, "{reached}");
}

#[test]
fn i18_i19_calls_from_functions_that_run_while_the_data_source_is_locked() {
    for (at, function) in functions().iter().enumerate() {
        for (name, says, call) in calls() {
            let what = format!("{name} in {}", function.name);
            assert!(played(at, call, says, 0, &what), "{what}: it ran");
        }
    }
}
