"""What curves of L̂ and readouts say together: descent, modes, wrong trajectories, when thinking may stop."""
