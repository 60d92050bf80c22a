import Kernels
import Synchronization
import TestSupport
import Testing

@Suite struct ComputeGateTests {
  /// A program that computes whenever it may, in jobs of drawn length on `threads` threads, beside
  /// others that take its processors at times.
  @Test(arguments: [0.1, 0.5, 0.9], [1, 2, 8])
  func useStaysAtTheShare(share: Double, threads: Int) {
    for seed in testSeeds(5) {
      var random = SeededRandom(seed: seed)
      var budget = ProcessorBudget()
      var (now, used) = (1000.0, 77.0)
      let rate = share * Double(threads)
      let (start, before) = (now, used)
      while now - start < 60 {
        let wait = budget.wait(used: used, now: now, rate: rate)
        if wait > 0 {
          now += min(wait, 0.05) + 1e-6
        } else {
          let job = Double.random(in: 0.0001...0.02, using: &random)
          now += job
          used += job * Double(threads) * Double.random(in: 0.8...1, using: &random)
        }
      }
      let measured = (used - before) / (now - start) / Double(threads)
      // Others leave it four fifths of the time, which is less than the largest share.
      #expect(measured < share + 0.02, "seed \(seed)")
      if share < 0.8 { #expect(measured > share - 0.02, "seed \(seed)") }
    }
  }

  @Test func nothingIsSavedUpWhileIdle() {
    var budget = ProcessorBudget()
    #expect(budget.wait(used: 0, now: 0, rate: 1) == 0)
    #expect(budget.wait(used: 0, now: 3600, rate: 1) == 0)
    // Half a second at once is more than an idle hour gives.
    #expect(budget.wait(used: 0.5, now: 3600.1, rate: 1) > 0.2)
    #expect(budget.wait(used: 0.5, now: 3601, rate: 1) == 0)
  }

  @Test func aClosedGateHoldsJobsUntilItOpensOrTheyAreCancelled() async throws {
    let gate = ComputeGate()
    gate.set(.init(share: 0))
    let pool = try ThreadPool(threads: 2) { gate.pass(threads: $0) }
    let count = Mutex(0)
    async let held: Void = Task.detached {
      pool.run(tasks: 4) { _, _ in count.withLock { $0 += 1 } }
    }.value
    try await Task.sleep(for: .milliseconds(100))
    #expect(count.withLock { $0 } == 0)
    gate.set(.none)
    await held
    #expect(count.withLock { $0 } == 4)

    gate.set(.init(share: 0))
    #expect(gate.pass(threads: 3, isCancelled: { true }) == 3)
  }

  @Test func fewerThreadsComputeTheSameBits() throws {
    var random = SeededRandom(seed: 41)
    let gate = ComputeGate()
    let pool = try ThreadPool(threads: 4) { gate.pass(threads: $0) }
    let compute = Compute(kernels: try KernelSet.best(environment: [:]), pool: pool)
    let weights = try PackedWeights(
      .q8_0, outputs: 300, inputs: 512,
      bytes: random.weightRows(.q8_0, outputs: 300, inputs: 512, .ordinary))
    let x = try Tensor(random.matrix(40, 512, .ordinary))
    let outputs = try (0..<2).map { _ in try Tensor(rows: 0, columns: 300) }
    try compute.matmul(x, weights, into: outputs[0])
    gate.set(.init(share: 1, threads: 1))
    try compute.matmul(x, weights, into: outputs[1])
    #expect(sameBits(outputs[0].values, outputs[1].values))
    #expect(gate.pass(threads: 4) == 1)
  }
}
