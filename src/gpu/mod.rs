//! wgpu and nothing else: context, shaders, kernels, buffers, timing. No neuron words in here.
