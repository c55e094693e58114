// Package lm trains and runs one language model architecture on the CPU: a
// Llama decoder (RMSNorm, rotary positions, SwiGLU, grouped-query attention)
// in float32, with its forward pass, backward pass, AdamW and cached inference
// written out by hand.
//
// It is not a framework: there is no graph, no automatic differentiation and no
// second architecture. It works on token ids and knows neither tokenizers nor
// the centre that pays for a run.
//
// Begin with Train, which turns tokens into a Model and can be stopped and
// resumed at any moment, then Model.Save, Load and Model.NewSession.
//
// # The same weights from the same seed
//
// Training is reproducible to the bit on one kind of machine and one build,
// whatever the number of threads: work is cut into parts whose size does not
// depend on the number of threads, each number is computed by one goroutine in
// one fixed order, and sums over parts are taken in the order of the parts.
// Builds need not agree with each other: the SIMD build (GOEXPERIMENT=simd on
// amd64) uses fused multiply-add and another order of summation than the
// portable build (gonum), so the two differ in the last bits, and those
// differences grow as training goes on. Kernel names the one in use.
//
// # Sources
//
//   - Touvron et al., "LLaMA", arXiv:2302.13971: the architecture.
//   - Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467.
//   - Su et al., "RoFormer", arXiv:2104.09864, in the half-split layout that Hugging Face uses.
//   - Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202.
//   - Ainslie et al., "GQA", arXiv:2305.13245.
//   - Dao et al., "FlashAttention", arXiv:2205.14135: keep one log-sum per row, recompute the rest.
//   - Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101.
//   - Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011: Philox.
package lm
