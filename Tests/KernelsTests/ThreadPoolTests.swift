import Kernels
import Synchronization
import TestSupport
import Testing

private final class Counter: Sendable {
  private let count = Atomic(0)
  func add() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

@Suite struct ThreadPoolTests {
  @Test(arguments: [1, 2, 5, 16])
  func everyTaskRunsOnce(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    for round in 0..<3000 {
      let tasks = round % 67
      let counts = Mutex([Int](repeating: 0, count: tasks))
      pool.run(tasks: tasks) { task, thread in
        precondition(thread >= 0 && thread < threads)
        counts.withLock { $0[task] += 1 }
      }
      #expect(counts.withLock { $0.allSatisfy { $0 == 1 } }, "round \(round)")
    }
  }

  @Test func callersTakeTurns() async throws {
    let pool = try ThreadPool(threads: 3)
    let total = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<500 { pool.run(tasks: 7) { _, _ in total.add() } }
        }
      }
    }
    #expect(total.value == 4 * 500 * 7)
  }

  @Test func poolsEndCleanly() throws {
    for round in 0..<200 {
      let pool = try ThreadPool(threads: 1 + round % 4)
      if round % 2 == 0 { pool.run(tasks: 3) { _, _ in } }
    }
  }
}

@Suite struct KernelSetTests {
  @Test func theEnvironmentForcesAFamily() throws {
    #expect(try KernelSet.best(environment: ["TALLY_CPU": "scalar"]).variant == .scalar)
    #expect(try KernelSet.best(environment: ["TALLY_CPU": "portable"]).variant == .portable)
    let best = try KernelSet.best(environment: [:]).variant
    #expect(best == KernelSet.available.last)
    #expect(try KernelSet.best(environment: ["TALLY_CPU": ""]).variant == best)
    for family in ["avx2", "avx512"] {
      let runnable = KernelSet.available.contains { $0.rawValue.hasPrefix(family) }
      if runnable {
        let chosen = try KernelSet.best(environment: ["TALLY_CPU": family]).variant
        #expect(chosen.rawValue.hasPrefix(family))
      } else {
        #expect(throws: KernelError.self) {
          try KernelSet.best(environment: ["TALLY_CPU": family])
        }
      }
    }
  }

  @Test(arguments: ["sse9", "AVX2", "avx2-vnni", " "])
  func unknownNamesAreErrors(name: String) {
    #expect(throws: KernelError.self) { try KernelSet.best(environment: ["TALLY_CPU": name]) }
  }
}
