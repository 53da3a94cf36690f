//! The adapter and its device: choosing one, its limits, its errors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Storage buffers a kernel may bind: the smallest limit of all adapters that wgpu supports.
pub(super) const MAX_STORAGE_BUFFERS: u32 = 8;

/// Iterations of all its loops together, nested ones and the tests that end them included, that one invocation may go
/// through. Mesa's software Vulkan (22.3 of Debian 12) leaves all loops after 65,535 without a word; the self-test holds
/// every driver to this many.
pub const MAX_LOOP_ITERATIONS: u32 = 65_000;

/// What a user needs to know of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterDescription {
    /// Name of the adapter.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// Graphics interface: vulkan, metal, dx12.
    pub backend: String,
    /// Kind: discrete, integrated, virtual, software.
    pub kind: String,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Largest binding of a storage buffer, bytes.
    pub max_binding_bytes: u64,
}

/// An open device.
#[derive(Debug)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    adapter: AdapterDescription,
    is_software: bool,
    errors: Arc<Mutex<Option<String>>>,
    buffers: Mutex<BTreeMap<String, BufferGroup>>,
    memory_bytes: AtomicU64,
}

/// The living buffers of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferGroup {
    /// How many there are.
    pub n_buffers: u64,
    /// Their sizes in all, bytes.
    pub bytes: u64,
    /// Size of the largest that ever lived, bytes.
    pub largest_bytes: u64,
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    wgpu::Instance::new(descriptor)
}

fn describe(adapter: &wgpu::Adapter) -> AdapterDescription {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    AdapterDescription {
        name: info.name,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        backend: format!("{:?}", info.backend).to_lowercase(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
        .to_owned(),
        max_buffer_bytes: limits.max_buffer_size,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
    }
}

/// All adapters, hardware first.
///
/// # Errors
/// [`Error::NoAdapter`] if there is none.
pub fn list_adapters() -> Result<Vec<AdapterDescription>> {
    Ok(enumerate()?.iter().map(describe).collect())
}

fn enumerate() -> Result<Vec<wgpu::Adapter>> {
    let mut adapters = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(rank);
    if adapters.is_empty() {
        let reason = "this system offers none. Install a graphics driver, or software Vulkan (Debian and Ubuntu: apt \
                      install libvulkan1 mesa-vulkan-drivers)";
        return Err(Error::NoAdapter { reason: reason.to_owned() });
    }
    Ok(adapters)
}

/// Hardware first, then software; within a kind the system's order.
fn rank(adapter: &wgpu::Adapter) -> u32 {
    match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// The best adapter whose name contains `name`; of several of one name the one whose turn it is.
fn choose_adapter(name: Option<&str>, turn: usize) -> Result<wgpu::Adapter> {
    let mut adapters = enumerate()?;
    let found: Vec<String> = adapters.iter().map(|a| a.get_info().name).collect();
    let wanted = name.unwrap_or_default().to_lowercase();
    let Some(best) = found.iter().find(|found| found.to_lowercase().contains(&wanted)) else {
        let reason = format!("no adapter's name contains '{wanted}'; found: {}", found.join(", "));
        return Err(Error::NoAdapter { reason });
    };
    adapters.retain(|adapter| adapter.get_info().name == *best);
    let turn = turn % adapters.len();
    Ok(adapters.swap_remove(turn))
}

impl Gpu {
    /// Opens the adapter whose name contains `name` (any case), or the best one.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if there is none, [`Error::Device`] if it refuses a device.
    pub fn open(name: Option<&str>) -> Result<Self> {
        Self::open_in_turn(name, 0)
    }

    /// The same for one of several processes of a host, numbered from 0: they take adapters of one name in turn.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub fn open_in_turn(name: Option<&str>, turn: usize) -> Result<Self> {
        let adapter = choose_adapter(name, turn)?;
        let description = describe(&adapter);
        let limits = adapter.limits();
        let required_limits = wgpu::Limits {
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: MAX_STORAGE_BUFFERS,
            ..wgpu::Limits::default()
        };
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("simrun"),
            required_limits,
            // Only `simrun measure` uses it.
            required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request).map_err(|e| Error::Device {
            context: format!("opening adapter '{}'", description.name),
            reason: e.to_string(),
        })?;
        let errors: Arc<Mutex<Option<String>>> = Arc::default();
        let sink = Arc::clone(&errors);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            // The first error is the cause; those after it are its echo.
            sink.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        }));
        let is_software = description.kind == "software";
        Ok(Self {
            device,
            queue,
            adapter: description,
            is_software,
            errors,
            buffers: Mutex::default(),
            memory_bytes: AtomicU64::new(u64::MAX),
        })
    }

    /// The adapter in use.
    pub fn adapter(&self) -> &AdapterDescription {
        &self.adapter
    }

    /// Whether the adapter is a processor pretending to be one.
    pub fn is_software(&self) -> bool {
        self.is_software
    }

    /// Memory that the host has free, bytes, where the adapter lives in it and the system says so (Linux).
    pub fn free_bytes(&self) -> Option<u64> {
        let text = self.is_software.then(|| std::fs::read_to_string("/proc/meminfo").ok())??;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
    }

    /// Refuses buffers beyond so many bytes in all, as an adapter of that memory would. For tests.
    pub fn limit_memory(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether a buffer of that size is within the limit of [`Gpu::limit_memory`].
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.allocated_bytes().saturating_add(bytes) <= self.memory_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all buffers made on this device that still live.
    pub fn allocated_bytes(&self) -> u64 {
        self.lock_buffers().values().map(|group| group.bytes).sum()
    }

    /// The buffers that live, by label, the largest group first.
    pub fn buffer_groups(&self) -> Vec<(String, BufferGroup)> {
        let living = self.lock_buffers();
        let living = living.iter().filter(|(_, group)| group.n_buffers > 0);
        let mut groups: Vec<_> = living.map(|(label, group)| (label.clone(), *group)).collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.bytes));
        groups
    }

    fn lock_buffers(&self) -> MutexGuard<'_, BTreeMap<String, BufferGroup>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a buffer that was made.
    pub(super) fn count_buffer(&self, label: &str, bytes: u64) {
        let mut groups = self.lock_buffers();
        let group = groups.entry(label.to_owned()).or_default();
        group.n_buffers += 1;
        group.bytes += bytes;
        group.largest_bytes = group.largest_bytes.max(bytes);
    }

    /// Counts a buffer that is gone.
    pub(super) fn discount_buffer(&self, label: &str, bytes: u64) {
        if let Some(group) = self.lock_buffers().get_mut(label) {
            group.n_buffers -= 1;
            group.bytes -= bytes;
        }
    }

    /// Turns an error that the device has raised since the last call into ours.
    pub fn check(&self, context: &str) -> Result<()> {
        match self.errors.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(reason) => Err(Error::Device { context: context.to_owned(), reason }),
        }
    }

    /// Waits until everything submitted is done.
    pub fn wait(&self, context: &str) -> Result<()> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|e| Error::Device { context: context.to_owned(), reason: e.to_string() })?;
        self.check(context)
    }
}
