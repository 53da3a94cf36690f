// Soma and dendrite with conductance ports, implicit midpoint rule (E2c, A2c). Twin: src/model/membrane/two_compartment.rs. Its parts are
// put into neuron_forward.wgsl and neuron_adjoint.wgsl, whose names they use. Tape: the midpoints and the diagonal of the membrane system.
//!part constants
    let coupling_ns = cell(model, CELL_COUPLING);
    let cap_s = cell(model, CELL_CAPACITY_S);
    let cap_d = cell(model, CELL_CAPACITY_D);
    let leak_s_ns = cell(model, CELL_LEAK_S);
    let leak_d_ns = cell(model, CELL_LEAK_D);
//!for p in PORTS
    let drive_mv_#p = port(model, #pu, PORT_DRIVE);
//!end
//!part state
        let u_d = state[plane_index(STATE_U_D, neuron, trial)];
//!part advance
        // E2c: the mean conductance of each port over the step, then the midpoint, solved for its distance from the start of the step:
        // f32 would lose cap u in b.
        var a_s = cap_s + leak_s_ns + coupling_ns;
        var a_d = cap_d + leak_d_ns + coupling_ns;
        var rest_s = drive_pa - leak_s_ns * u_s + coupling_ns * (u_d - u_s);
        var rest_d = coupling_ns * (u_s - u_d) - leak_d_ns * u_d;
//!for p in SOMA_PORTS
        let mean_ns_#p = 0.5 * (g_#p + g_next_#p);
        a_s += mean_ns_#p;
        rest_s += mean_ns_#p * (drive_mv_#p - u_s);
//!end
//!for p in DENDRITE_PORTS
        let mean_ns_#p = 0.5 * (g_#p + g_next_#p);
        a_d += mean_ns_#p;
        rest_d += mean_ns_#p * (drive_mv_#p - u_d);
//!end
        var mid_s = reset_mv;
        var mid_d = u_d + rest_d / a_d;
        if (!held) {
            let inverse_det = 1.0 / (a_s * a_d - coupling_ns * coupling_ns);
            mid_s = u_s + (a_d * rest_s + coupling_ns * rest_d) * inverse_det;
            mid_d = u_d + (a_s * rest_d + coupling_ns * rest_s) * inverse_det;
        }
        let u_next = select(2.0 * mid_s - u_s, reset_mv, held);
        let u_d_next = 2.0 * mid_d - u_d;
        let changed = u_next + u_d_next;
        state[plane_index(STATE_U_D, neuron, trial)] = u_d_next;
        if (WRITE_TAPE) {
            tape[plane_index(TAPE_MID_S, neuron, trial)] = mid_s;
            tape[plane_index(TAPE_MID_D, neuron, trial)] = mid_d;
            tape[plane_index(TAPE_A_S, neuron, trial)] = a_s;
            tape[plane_index(TAPE_A_D, neuron, trial)] = a_d;
        }
//!part adjoint
        let mid_s = tape[plane_index(TAPE_MID_S, neuron, trial)];
        let mid_d = tape[plane_index(TAPE_MID_D, neuron, trial)];
        let a_s = tape[plane_index(TAPE_A_S, neuron, trial)];
        let a_d = tape[plane_index(TAPE_A_D, neuron, trial)];
        let u_d_at = plane_index(ADJ_U_D, neuron, trial);
        let out_d = adj_state[u_d_at];
//!part undo
        // A2c: the membrane system is symmetric, so its transpose is itself.
        var lam_s = 0.0;
        var lam_d = 2.0 * out_d / a_d;
        if (!held) {
            let scale = 2.0 / (a_s * a_d - coupling_ns * coupling_ns);
            lam_s = (a_d * out_s + coupling_ns * out_d) * scale;
            lam_d = (a_s * out_d + coupling_ns * out_s) * scale;
        }
        let adj_drive = lam_s;
        let changed = lam_s + lam_d;
        adj_state[u_s_at] = step.membrane_damping * (cap_s * lam_s - out_s);
        adj_state[u_d_at] = step.membrane_damping * (cap_d * lam_d - out_d);
        // A7: the mean conductance is half of that before the step and half of that after it.
//!for p in SOMA_PORTS
        let half_adj_mean_#p = 0.5 * (lam_s * (drive_mv_#p - mid_s));
//!end
//!for p in DENDRITE_PORTS
        let half_adj_mean_#p = 0.5 * (lam_d * (drive_mv_#p - mid_d));
//!end
//!for p in PORTS
        let adj_next_#p = adj_g_#p + half_adj_mean_#p;
        adj_state[plane_index(ADJ_PORTS + 2u * #pu, neuron, trial)] = decay_#p * (adj_rise_#p + DT_MS * adj_next_#p);
        adj_state[plane_index(ADJ_PORTS + 2u * #pu + 1u, neuron, trial)] = decay_#p * adj_next_#p + half_adj_mean_#p;
//!end
        if (CELL_GRADIENT) {
            sum_log_leak -= lam_s * leak_s_ns * mid_s + lam_d * leak_d_ns * mid_d;
            sum_log_coupling += coupling_ns * (lam_s - lam_d) * (mid_d - mid_s);
        }
//!part sums
    var sum_log_leak = 0.0;
    var sum_log_coupling = 0.0;
//!part gradients
        hand_on(SUM_LOG_LEAK, neuron, lane, sum_log_leak);
        hand_on(SUM_LOG_COUPLING, neuron, lane, sum_log_coupling);
