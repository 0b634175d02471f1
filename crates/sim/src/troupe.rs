//! Machines that run a process each, and who begins and ends those until the scenario is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use strandline_ports::World;

use crate::executor::Sim;
use crate::node::{Crash, Node};
use crate::rng::Rng;
use crate::workload::Field;

/// What a machine's process does until it is told to leave.
pub(crate) type Program = Box<dyn Fn(Process) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What a process is given.
pub(crate) struct Process {
    pub(crate) world: World,
    pub(crate) rng: Rng,
    /// Which of the machines it runs on.
    pub(crate) place: usize,
    pub(crate) life: Arc<Life>,
}

/// How long a process lives.
#[derive(Default)]
pub(crate) struct Life {
    must_leave: AtomicBool,
    is_over: AtomicBool,
}

impl Life {
    pub(crate) fn must_leave(&self) -> bool {
        self.must_leave.load(Relaxed)
    }
}

/// How the processes of a troupe are treated.
#[derive(Clone, Copy)]
pub(crate) struct Regime {
    /// How long they are left alone.
    pub(crate) calm_max: Duration,
    /// Some machines stand still for a while, and go on as if nothing had been.
    pub(crate) may_pause: bool,
}

pub(crate) struct Troupe {
    sim: Sim,
    field: Arc<Field>,
    world: World,
    rng: Rng,
    regime: Regime,
    places: Vec<Place>,
    program: Program,
    /// Processes that run.
    living: Arc<AtomicUsize>,
}

/// A machine that may run a process.
struct Place {
    node: Node,
    life: Option<Arc<Life>>,
    is_paused: bool,
}

impl Place {
    fn living(&self) -> Option<Arc<Life>> {
        self.life.clone().filter(|life| !life.is_over.load(Relaxed))
    }

    fn go_on(&mut self) {
        if std::mem::take(&mut self.is_paused) {
            self.node.go_on();
        }
    }
}

impl Troupe {
    pub(crate) fn new(
        sim: &Sim,
        field: &Arc<Field>,
        world: &World,
        rng: Rng,
        regime: Regime,
        (nodes, program): (Vec<Node>, Program),
    ) -> Self {
        let place = |node| Place { node, life: None, is_paused: false };
        Self {
            sim: sim.clone(),
            field: Arc::clone(field),
            world: world.clone(),
            rng,
            regime,
            places: nodes.into_iter().map(place).collect(),
            program,
            living: Arc::default(),
        }
    }

    /// How many processes run: to be asked while the troupe does.
    pub(crate) fn living(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.living)
    }

    /// Begins and ends processes until the scenario is over; then all leave.
    pub(crate) async fn run(mut self) {
        while !self.field.is_over() {
            self.act();
            let longest = self.regime.calm_max.as_millis() as u64;
            let millis = self.rng.between(1, longest);
            self.world.clock.sleep(Duration::from_millis(millis)).await;
        }
        for place in &mut self.places {
            place.go_on();
            if let Some(life) = &place.life {
                life.must_leave.store(true, Relaxed);
            }
        }
    }

    fn act(&mut self) {
        let index = self.rng.below(self.places.len() as u64) as usize;
        let (living, is_calm) = (self.living.load(Relaxed), self.field.is_calm.load(Relaxed));
        if is_calm {
            self.places.iter_mut().for_each(Place::go_on);
        }
        self.places[index].go_on();
        match self.places[index].living() {
            None if living == 0 || !is_calm => self.begin(index),
            // Somebody must see to it that the work goes on.
            Some(life) if living > 1 && !is_calm => self.end(index, &life),
            _ => {}
        }
    }

    /// Tells a process to leave, or takes its machine down; or lets it stand still.
    fn end(&mut self, index: usize, life: &Life) {
        if self.regime.may_pause && self.rng.one_in(3) {
            self.places[index].node.pause();
            self.places[index].is_paused = true;
            return;
        }
        if self.rng.one_in(3) {
            life.must_leave.store(true, Relaxed);
            return;
        }
        life.is_over.store(true, Relaxed);
        self.living.fetch_sub(1, Relaxed);
        self.places[index].node.crash(Crash::Process);
    }

    fn begin(&mut self, index: usize) {
        let life = Arc::new(Life::default());
        let place = &mut self.places[index];
        place.life = Some(Arc::clone(&life));
        let (node, world) = (place.node.id, place.node.world());
        let rng = self.rng.split();
        let process = Process { world, rng, place: index, life: Arc::clone(&life) };
        let process = (self.program)(process);
        let living = Arc::clone(&self.living);
        living.fetch_add(1, Relaxed);
        self.sim.spawn(
            node,
            Box::pin(async move {
                process.await;
                life.is_over.store(true, Relaxed);
                living.fetch_sub(1, Relaxed);
            }),
        );
    }
}
