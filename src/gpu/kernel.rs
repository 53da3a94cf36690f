//! Compute pipelines whose bindings are reflected from the WGSL source, and bind groups by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::MAX_STORAGE_BUFFERS;
use super::{Buffer, Gpu};
use crate::error::{Error, Result};

/// A compiled compute shader. Every uniform binding is bound with a dynamic offset.
#[derive(Debug)]
pub struct Kernel {
    name: String,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bindings: Vec<Binding>,
    workgroup_size: u32,
    gpu: Arc<Gpu>,
}

#[derive(Clone, Debug)]
struct Binding {
    name: String,
    index: u32,
    kind: BindingKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum BindingKind {
    Uniform { size: u64 },
    Storage { read_only: bool },
}

/// Buffers bound to a kernel.
#[derive(Debug)]
pub struct BindGroup {
    raw: wgpu::BindGroup,
    has_uniform: bool,
}

fn reflect(name: &str, source: &str) -> Result<Vec<Binding>> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| Error::Device {
        context: format!("parsing kernel '{name}'"),
        reason: e.emit_to_string_with_path(source, name),
    })?;
    let mut bindings = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let (Some(binding), Some(variable_name)) = (&variable.binding, &variable.name) else { continue };
        let kind = match variable.space {
            naga::AddressSpace::Storage { access } => {
                BindingKind::Storage { read_only: !access.contains(naga::StorageAccess::STORE) }
            }
            _ => BindingKind::Uniform {
                size: u64::from(module.types[variable.ty].inner.size(module.to_ctx())),
            },
        };
        bindings.push(Binding { name: variable_name.clone(), index: binding.binding, kind });
    }
    bindings.sort_by_key(|b| b.index);
    Ok(bindings)
}

impl Kernel {
    /// Compiles `source`, entry point `main`, with the given overrides; `WORKGROUP_SIZE` must be among them.
    ///
    /// # Errors
    /// [`Error::Device`] with the compiler's message.
    pub fn new(gpu: &Arc<Gpu>, name: &str, source: &str, constants: &[(&str, f64)]) -> Result<Self> {
        let bindings = reflect(name, source)?;
        let n_storage = bindings.iter().filter(|b| matches!(b.kind, BindingKind::Storage { .. })).count();
        if n_storage > MAX_STORAGE_BUFFERS as usize {
            return Err(Error::Device {
                context: format!("compiling kernel '{name}'"),
                reason: format!("{n_storage} storage buffers, at most {MAX_STORAGE_BUFFERS} are portable"),
            });
        }
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let layout = bind_group_layout(gpu, name, &bindings);
        let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(Error::Device {
                context: format!("compiling kernel '{name}'"),
                reason: e.to_string(),
            });
        }
        let workgroup_size =
            constants.iter().find(|(n, _)| *n == "WORKGROUP_SIZE").map_or(1, |(_, v)| *v as u32);
        Ok(Self { name: name.to_owned(), pipeline, layout, bindings, workgroup_size, gpu: Arc::clone(gpu) })
    }

    /// Name of the kernel: its file name without `.wgsl`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Threads of a workgroup.
    pub fn workgroup_size(&self) -> u32 {
        self.workgroup_size
    }

    /// Binds buffers by the names of the variables in the source.
    ///
    /// # Errors
    /// [`Error::Device`] if a name is missing or unknown.
    pub fn bind(&self, buffers: &[(&str, &Buffer)]) -> Result<BindGroup> {
        let failed =
            |reason: String| Error::Device { context: format!("binding kernel '{}'", self.name), reason };
        let mut by_name: BTreeMap<&str, &Buffer> = buffers.iter().copied().collect();
        let mut entries = Vec::with_capacity(self.bindings.len());
        for binding in &self.bindings {
            let buffer = by_name
                .remove(binding.name.as_str())
                .ok_or_else(|| failed(format!("no buffer for '{}'", binding.name)))?;
            let size = match binding.kind {
                BindingKind::Uniform { size } => wgpu::BufferSize::new(size),
                BindingKind::Storage { .. } => None,
            };
            let resource =
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &buffer.raw, offset: 0, size });
            entries.push(wgpu::BindGroupEntry { binding: binding.index, resource });
        }
        if let Some(name) = by_name.keys().next() {
            return Err(failed(format!("it has no variable '{name}'")));
        }
        let raw = self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&self.name),
            layout: &self.layout,
            entries: &entries,
        });
        self.gpu.check(&self.name)?;
        let has_uniform = self.bindings.iter().any(|b| matches!(b.kind, BindingKind::Uniform { .. }));
        Ok(BindGroup { raw, has_uniform })
    }

    /// Records a dispatch of `n_workgroups`; the uniform is read at `uniform_offset_bytes`.
    pub fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        bind_group: &BindGroup,
        uniform_offset_bytes: u32,
        n_workgroups: u32,
    ) {
        let offset = [uniform_offset_bytes];
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &bind_group.raw, if bind_group.has_uniform { &offset } else { &[] });
        // At most 65,535 workgroups a dimension: kernels flatten (x, y).
        const MAX_PER_DIMENSION: u32 = 65_535;
        if n_workgroups <= MAX_PER_DIMENSION {
            pass.dispatch_workgroups(n_workgroups, 1, 1);
        } else {
            pass.dispatch_workgroups(MAX_PER_DIMENSION, n_workgroups.div_ceil(MAX_PER_DIMENSION), 1);
        }
    }

    /// Workgroups that give `n_threads` a thread each.
    pub fn workgroups_for(&self, n_threads: usize) -> u32 {
        n_threads.div_ceil(self.workgroup_size as usize) as u32
    }
}

fn bind_group_layout(gpu: &Gpu, name: &str, bindings: &[Binding]) -> wgpu::BindGroupLayout {
    let entries: Vec<_> = bindings
        .iter()
        .map(|binding| {
            let (ty, has_dynamic_offset, min_binding_size) = match binding.kind {
                BindingKind::Uniform { size } => {
                    (wgpu::BufferBindingType::Uniform, true, wgpu::BufferSize::new(size))
                }
                BindingKind::Storage { read_only } => {
                    (wgpu::BufferBindingType::Storage { read_only }, false, None)
                }
            };
            wgpu::BindGroupLayoutEntry {
                binding: binding.index,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size },
                count: None,
            }
        })
        .collect();
    gpu.device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries })
}
