import Foundation
import Logging
import ServiceLifecycle
import UnixSignals
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerEngine

extension WorkerDaemon {
  /// Runs a worker as the whole of this process: with this machine's kernels, until SIGTERM or
  /// SIGINT (or another end), then finishes or gives back what runs. Returns when it ended as
  /// asked.
  ///
  /// - Parameter observer: told whenever something changes; called one at a time, must not block.
  /// - Throws: as `run()`, and `KernelError` when `TALLY_CPU` forces what this machine lacks.
  package static func run(
    configuration: WorkerConfiguration, logger: Logger,
    observer: @escaping @Sendable (WorkerReport) -> Void = { _ in }
  ) async throws {
    let runner = try ModelUnitRunner(environment: ProcessInfo.processInfo.environment)
    let daemon = WorkerDaemon(
      configuration: configuration, runner: runner, logger: logger, observer: observer)
    let service = ServiceGroupConfiguration.ServiceConfiguration(
      service: daemon, successTerminationBehavior: .gracefullyShutdownGroup)
    // Services end in reverse order, so this one listens until the worker has ended.
    let impatience = ServiceGroupConfiguration.ServiceConfiguration(
      service: ImpatientSignals(daemon: daemon))
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [impatience, service], gracefulShutdownSignals: [.sigterm, .sigint],
        logger: logger))
    try await group.run()
  }
}

/// Passes every signal after the first on: a second one ends the grace period, a third everything.
private struct ImpatientSignals: Service {
  let daemon: WorkerDaemon

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var signals = 0
      for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
        signals += 1
        if signals > 1 { daemon.terminate() }
      }
    }
  }
}

extension ResultTransformer {
  /// A test tool: a worker that gives a wrong result for about `rate` (0 to 1) of its units, well
  /// formed: another token, another last bit of what was learnt, another loss. Which units these
  /// are follows from the seed and the unit's digest alone.
  package static func wrong(rate: Double, seed: UInt64) -> ResultTransformer {
    ResultTransformer { unit, inputs, result in
      var random = SplitMix64(seed: seed ^ (UInt64(unit.hex.prefix(16), radix: 16) ?? 0))
      guard Double.random(in: 0..<1, using: &random) < rate else { return result }
      if let inputs = try? GenerateInputs(decoding: inputs) {
        return try wrongToken(inputs, result, using: &random)
      }
      if (try? TrainInputs(decoding: inputs)) != nil {
        // Changes in bfloat16 stand last; the lowest bit of the last one is before its highest
        // byte.
        var wrong = result
        wrong[wrong.endIndex - 2] ^= 1
        return wrong
      }
      let inputs = try LabelledSequences(decoding: inputs)
      var decoded = try ValidateResult(decoding: result, for: inputs)
      decoded.lossSums[0] /= 2
      return try decoded.encoded()
    }
  }

  private static func wrongToken(
    _ inputs: GenerateInputs, _ result: Data, using random: inout SplitMix64
  ) throws -> Data {
    var decoded = try GenerateResult(decoding: result, for: inputs)
    guard
      let index = decoded.sequences.indices.filter({ !decoded.sequences[$0].tokens.isEmpty })
        .randomElement(using: &random)
    else { return result }
    let token = decoded.sequences[index].tokens[0]
    decoded.sequences[index].tokens[0] = token == 0 ? 1 : token - 1
    return try decoded.encoded()
  }
}
