import Testing
import TestSupport
import WorkerCore

/// Whole lives of a worker under a seed.
@Suite struct FleetSimulationTests {
  @Test func noFinishedResultIsLost() {
    for seed in testSeeds(100) {
      var random = SeededRandom(seed: seed &* 7919)
      let outage = Duration.seconds(Int.random(in: 60...900, using: &random))
      let network = SimulatedNetwork(
        seed: seed, loss: Double.random(in: 0...0.3, using: &random),
        outages: [
          outage..<(outage + .seconds(600)), .seconds(3600)..<Duration.seconds(4200),
        ])
      let kills = (0..<3).map { _ in Duration.seconds(Int.random(in: 1...5000, using: &random)) }
      var simulation = FleetSimulation(seed: seed, units: 40, network: network, kills: kills)
      simulation.run(until: .seconds(12 * 3600))
      #expect(!simulation.finished.isEmpty, "seed \(seed)")
      #expect(
        simulation.finished.allSatisfy { simulation.counted[$0] == 1 },
        "seed \(seed): a finished result was lost")
      #expect(simulation.worker.waitingResults == 0, "seed \(seed)")
      #expect(simulation.overdueTimers == 0, "seed \(seed): a timer would spin")
      // What was leased and not finished went down with a killed worker or a lost answer, never
      // without a cause.
      #expect(simulation.leased.count == 40, "seed \(seed): the worker stopped asking")
    }
  }

  /// Three kills in the middle of anything: what was held is resumed and delivered, not given up.
  @Test func noHeldUnitIsLostWithAKill() {
    var saved = Duration.zero
    for seed in testSeeds(100) {
      var random = SeededRandom(seed: seed &* 104_729)
      let kills = (0..<3).map { _ in Duration.seconds(Int.random(in: 1...600, using: &random)) }
      let network = SimulatedNetwork(seed: seed, loss: Double.random(in: 0...0.2, using: &random))
      var simulation = FleetSimulation(seed: seed, units: 20, network: network, kills: kills)
      simulation.run(until: .seconds(6 * 3600))
      let units = simulation.units
      let lost = units.remembered.subtracting(units.givenUp).filter {
        simulation.counted[$0] != 1
      }
      #expect(lost.isEmpty, "seed \(seed): \(lost)")
      #expect(simulation.worker.heldLeases == [], "seed \(seed)")
      saved += units.saved
    }
    #expect(saved > .seconds(60))
  }

  /// The coordinator's clock is wrong for seconds, its operator asks for a version that nobody has,
  /// a backup without the workers' certificates is restored: all pass, and no worker ends of it.
  @Test func aCoordinatorsMistakeEndsNoWorker() {
    let clock = RequestFailure.notAdmitted(
      message: "The client certificate is not valid at this time. Enrol again.")
    let unknown = RequestFailure.notAdmitted(
      message: "The client certificate is unknown or revoked. Enrol again.")
    let version = RequestFailure.upgradeRequired(message: "Workers older than 9.9.9 must upgrade.")
    for seed in testSeeds(100) {
      var random = SeededRandom(seed: seed &* 15_485_863)
      let network = SimulatedNetwork(seed: seed, loss: Double.random(in: 0...0.1, using: &random))
      let kills = [Duration.seconds(Int.random(in: 1...9000, using: &random))]
      var simulation = FleetSimulation(seed: seed, units: 40, network: network, kills: kills)
      simulation.certificateSeconds = 6000
      let back = Duration.seconds(Int.random(in: 1...300, using: &random))
      simulation.turningAway = [
        (back..<(back + .seconds(5)), clock),
        ((back + .seconds(60))..<(back + .seconds(65)), clock),
        (.seconds(600)..<Duration.seconds(4200), version),
        (.seconds(6000)..<Duration.seconds(9600), unknown),
      ]
      simulation.run(until: .seconds(24 * 3600))
      if case .stopped = simulation.worker.activity { Issue.record("seed \(seed): it ended") }
      #expect(simulation.finished.allSatisfy { simulation.counted[$0] == 1 }, "seed \(seed)")
      #expect(simulation.leased.count == 40, "seed \(seed): the worker stopped asking")
      #expect(simulation.worker.waitingResults == 0, "seed \(seed)")
      #expect(simulation.worker.turningAway == nil, "seed \(seed)")
      #expect(simulation.renewals > 10, "seed \(seed)")
      #expect(simulation.overdueTimers == 0, "seed \(seed): a timer would spin")
    }
  }

  @Test func oneSeedRepeatsTheWholeRun() {
    let runs = (0..<2).map { _ in
      var simulation = FleetSimulation(
        seed: 42, units: 20, network: SimulatedNetwork(seed: 42, loss: 0.2),
        kills: [.seconds(300)])
      simulation.run(until: .seconds(7200))
      return (simulation.now, simulation.leased, simulation.finished)
    }
    #expect(runs[0] == runs[1])
  }
}
