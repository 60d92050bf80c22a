import Foundation
import Kernels
import Synchronization
import TestSupport
import Testing

private final class Counter: Sendable {
  private let count = Atomic(0)
  func add() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

private func yieldThread() { sched_yield() }

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

  /// The caller runs all other tasks while a member is stuck in its first, and the member's own
  /// counts in the end.
  @Test func aStalledMemberHoldsOneTask() throws {
    let pool = try ThreadPool(threads: 2)
    for tasks in [2, 3, 40] {
      let (started, others) = (Counter(), Counter())
      let counts = Mutex([Int](repeating: 0, count: tasks))
      pool.run(tasks: tasks) { task, thread in
        counts.withLock { $0[task] += 1 }
        if thread == 1 {
          started.add()
          while others.value < tasks - 1 { yieldThread() }
        } else {
          while started.value == 0 { yieldThread() }
          others.add()
        }
      }
      #expect(counts.withLock { $0.allSatisfy { $0 == 1 } })
      #expect(started.value == 1 && others.value == tasks - 1)
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

@Suite struct MachineSpeedTests {
  @Test func whatAMachineIsWorthIsSaid() throws {
    let speed = try MachineSpeed.measure(compute(.portable, threads: 2))
    #expect(speed.operationsPerSecond > 1e6)
    #expect(speed.description.hasPrefix("kernels portable, 2 threads: "))
    #expect(speed.description.contains(" Gop/s"))
    let figure = MachineSpeed(
      variant: .avx512VNNI, threads: 1, operationsPerSecond: 1_230_400_000_000)
    #expect(figure.description == "kernels avx512-vnni, 1 thread: 1,230 Gop/s")
    let slow = MachineSpeed(variant: .avx2, threads: 3, operationsPerSecond: 1_250_000_000)
    #expect(slow.description == "kernels avx2, 3 threads: 1.3 Gop/s")
  }
}
