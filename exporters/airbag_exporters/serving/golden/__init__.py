"""Golden requests: inputs with known answers, asked of every version, and what their failing sets off."""
