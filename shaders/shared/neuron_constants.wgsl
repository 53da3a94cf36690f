// Constants of a neuron that forward and adjoint pass take alike, in front of their loops over its trials.
    let model = neuron_model(neuron);
    let target_type = neuron_target_type(neuron);
    let threshold_mv = cell(model, CELL_THRESHOLD);
    let scale_mv = cell(model, CELL_SCALE);
    let asc_mean_1 = cell(model, CELL_ASC_MEAN_1);
    let asc_mean_2 = cell(model, CELL_ASC_MEAN_2);
    let asc_decay_1 = cell(model, CELL_ASC_DECAY_1);
    let asc_decay_2 = cell(model, CELL_ASC_DECAY_2);
    let asc_keep_1 = cell(model, CELL_ASC_KEEP_1);
    let asc_keep_2 = cell(model, CELL_ASC_KEEP_2);
//!for p in PORTS
    let decay_#p = port(model, #pu, PORT_DECAY);
//!end
//!for c in CLASSES
//!for p in PORTS of c
    let gain_#c_#p = gain(target_type, #cu, #pu);
//!end
//!end
