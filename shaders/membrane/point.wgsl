// The published point membrane: current ports, exact propagators (E2p, A2p). Twin: src/model/membrane/point.rs. Its parts are put into
// neuron_forward.wgsl and neuron_adjoint.wgsl, whose names they use. Tape: the derivative of u_s' by log g.
//!part constants
    let p_uu = cell(model, CELL_P_UU);
    let p_ui = cell(model, CELL_P_UI);
    let dp_uu = cell(model, CELL_DP_UU);
    let dp_ui = cell(model, CELL_DP_UI);
//!for p in PORTS
    let p_ur_#p = port(model, #pu, PORT_P_UR);
    let p_ug_#p = port(model, #pu, PORT_P_UG);
    let dp_ur_#p = port(model, #pu, PORT_DP_UR);
    let dp_ug_#p = port(model, #pu, PORT_DP_UG);
//!end
//!part state
//!part advance
        // E2p.
        var u_free = p_uu * u_s + p_ui * drive_pa;
//!for p in PORTS
        u_free += p_ur_#p * rise_#p + p_ug_#p * g_#p;
//!end
        let u_next = select(u_free, reset_mv, held);
        let changed = u_next;
        if (WRITE_TAPE) {
            var du_dlog_g = dp_uu * u_s + dp_ui * drive_pa;
//!for p in PORTS
            du_dlog_g += dp_ur_#p * rise_#p + dp_ug_#p * g_#p;
//!end
            tape[plane_index(TAPE_DU_DLOG_G, neuron, trial)] = du_dlog_g;
        }
//!part adjoint
        let du_dlog_g = tape[plane_index(TAPE_DU_DLOG_G, neuron, trial)];
//!part undo
        // A2p: while held out_s is 0, and so is all that comes of it.
        adj_state[u_s_at] = step.membrane_damping * p_uu * out_s;
        let adj_drive = p_ui * out_s;
        let changed = out_s;
        // A7.
//!for p in PORTS
        adj_state[plane_index(ADJ_PORTS + 2u * #pu, neuron, trial)] = decay_#p * (adj_rise_#p + DT_MS * adj_g_#p) + p_ur_#p * out_s;
        adj_state[plane_index(ADJ_PORTS + 2u * #pu + 1u, neuron, trial)] = decay_#p * adj_g_#p + p_ug_#p * out_s;
//!end
        if (CELL_GRADIENT) { sum_log_leak += out_s * du_dlog_g; }
//!part sums
    var sum_log_leak = 0.0;
//!part gradients
        hand_on(SUM_LOG_LEAK, neuron, lane, sum_log_leak);
