import AsyncHTTPClient
import Foundation
import Logging
import ServiceLifecycle
import WireProtocol
import WorkerCore
import WorkerEngine

/// Why a worker ended without being asked to. What the coordinator said is shown as it is.
package struct WorkerStopped: Error, Hashable, CustomStringConvertible {
  package var reason: StopReason

  package init(reason: StopReason) { self.reason = reason }

  package var description: String { reason.description }
}

/// A worker: joins its coordinator, computes units, keeps results until they are delivered.
package struct WorkerDaemon: Service {
  let configuration: WorkerConfiguration
  let runner: any UnitRunning
  let logger: Logger
  let clock: WorkerClock
  let seed: UInt64
  let observer: @Sendable (WorkerReport) -> Void
  /// Tests shorten these times; a volunteer's settings override what they name.
  let settings: LifecycleSettings
  /// Where `/proc`, `/sys` and `/dev` are.
  let sensorRoot: String
  private let inbox = Inbox()

  /// What happens comes in here, from the start of the process on.
  struct Inbox: Sendable {
    let events: AsyncStream<WorkerEvent>
    let tell: AsyncStream<WorkerEvent>.Continuation

    init() { (events, tell) = AsyncStream.makeStream() }
  }

  /// - Parameters:
  ///   - runner: computes the units.
  ///   - seed: of the jitter between attempts.
  ///   - sensorRoot: before `/proc`, `/sys` and `/dev`, for tests.
  ///   - observer: told whenever something changes; called one at a time, must not block.
  package init(
    configuration: WorkerConfiguration, runner: any UnitRunning, logger: Logger,
    clock: WorkerClock = .system(), seed: UInt64 = .random(in: .min ... .max),
    settings: LifecycleSettings = LifecycleSettings(), sensorRoot: String = "",
    observer: @escaping @Sendable (WorkerReport) -> Void = { _ in }
  ) {
    self.configuration = configuration
    self.runner = runner
    self.logger = logger
    self.clock = clock
    self.seed = seed
    self.settings = settings
    self.sensorRoot = sensorRoot
    self.observer = observer
  }

  /// Asks the worker to end: once within its grace period, twice without it, a third time at once.
  package func terminate() { inbox.tell.yield(.terminate) }

  /// Works until a graceful shutdown or the task's cancellation.
  ///
  /// - Throws: `FileError` and `LibcryptoError` for a data folder that cannot be used,
  ///   `ProxyError`, `ConfigurationError` for settings that contradict it, `WorkerStopped` when the
  ///   coordinator turned a worker away that has just joined or is about to.
  package func run() async throws {
    let folder = try WorkerFolder(configuration.dataFolder)
    let lock = try folder.lock()
    try checkMembership(in: folder)
    let passphrase = try folder.passphrase(
      from: configuration.passphrase, environment: ProcessInfo.processInfo.environment)
    let key = try folder.loadKey(passphrase: passphrase)
    let log = WorkerLog(in: folder, clock: clock)
    let logger = log.joined(to: logger)
    let traffic = try TrafficMeter(folder: folder, clock: clock, logger: logger)
    let energy = EnergyRecorder(
      folder: folder, sensors: EnergySensors(root: sensorRoot), clock: clock, logger: logger)
    let cache = try BlobCache(
      folder: folder.cache, limitBytes: configuration.cacheLimitBytes, traffic: traffic,
      logger: logger)
    let board = StatusBoard()
    let governor = try WorkerGovernor(
      folder: folder, sensors: MachineSensors(root: sensorRoot), runner: runner, traffic: traffic,
      energy: energy, cache: cache, clock: clock, seed: seed,
      isAlways: configuration.computesAlways,
      memoryBytes: configuration.memoryLimitBytes, hasUnit: { board.hasUnit }, logger: logger
    ) { [inbox] allowance in
      board.show(allowance)
      inbox.tell.yield(.computingAllowed(allowance.computes))
      inbox.tell.yield(.transferAllowed(allowance.network.transfers))
    } chose: { [inbox] choices in
      inbox.tell.yield(.chosen(choices))
    } exceeded: { [inbox] used, limit in
      inbox.tell.yield(.memoryExceeded(used: used, limit: limit))
    }
    let state = await governor.state
    await cache.hold(to: state.allowance.disk)
    let http = try CoordinatorClient.makeHTTPClient(
      for: Membership(in: folder)?.record.url ?? configuration.invitation?.url ?? "",
      environment: ProcessInfo.processInfo.environment)
    let loop = WorkerLoop(
      WorkerLoop.Equipment(
        configuration: configuration, folder: folder, key: key, http: http, cache: cache,
        traffic: traffic, energy: energy, results: ResultStore(folder: folder.results),
        checkpoints: CheckpointStore(folder: folder.units), runner: runner, clock: clock,
        logger: logger, allowance: { board.allowance },
        machine: MachineFacts.read(kernels: configuration.kernels, root: sensorRoot),
        observer: { [observer, clock] report in
          observer(board.show(report, at: clock.now()))
        }),
      settings: lifecycleSettings, choices: state.choices, seed: seed, inbox: inbox)
    let control = controlServer(folder, governor, loop, board, cache, energy, log, logger)
    let outcome: Result<StopReason, any Error>
    do {
      outcome = .success(
        try await withGracefulShutdownHandler {
          try await Self.beside([governor.run, control.run, { await beat(loop, governor) }]) {
            try await loop.run()
          }
        } onGracefulShutdown: {
          terminate()
        })
    } catch {
      outcome = .failure(error)
    }
    try? await http.shutdown()
    traffic.save(isLast: true)
    energy.save(isLast: true)
    withExtendedLifetime(lock) {}
    let reason = try outcome.get()
    if reason != .drained { throw WorkerStopped(reason: reason) }
  }

  /// Runs `services`, which end when cancelled, as long as `work` takes.
  private static func beside(
    _ services: [@Sendable () async -> Void],
    _ work: @escaping @Sendable () async throws -> StopReason
  ) async throws -> StopReason {
    try await withThrowingTaskGroup(of: StopReason?.self) { group in
      for service in services {
        group.addTask {
          await service()
          return nil
        }
      }
      group.addTask { try await work() }
      defer { group.cancelAll() }
      while let ended = try await group.next() {
        if let reason = ended { return reason }
      }
      return .drained
    }
  }

  /// Beats while both actors answer.
  private func beat(_ loop: WorkerLoop, _ governor: WorkerGovernor) async {
    guard let pulse = configuration.pulse else { return }
    while !Task.isCancelled {
      _ = await governor.state
      await loop.answer()
      pulse.beat()
      if (try? await clock.sleep(clock.now() + pulse.interval)) == nil { return }
    }
  }

  private func controlServer(
    _ folder: WorkerFolder, _ governor: WorkerGovernor, _ loop: WorkerLoop, _ board: StatusBoard,
    _ cache: BlobCache, _ energy: EnergyRecorder, _ log: WorkerLog, _ logger: Logger
  ) -> ControlServer {
    let started = clock.now()
    return ControlServer(
      path: ControlSocket.path(in: folder.path),
      handlers: ControlServer.Handlers(
        status: { [configuration, clock] in
          let member = try? Membership(in: folder)
          return await board.document(
            governor.state, configuration, coordinator: member?.record.url,
            cache: cache.usage, energy: energy.state, uptime: started.duration(to: clock.now()),
            at: clock.now(), unixSeconds: clock.unixSeconds())
        },
        order: { try await governor.give($0) },
        preferences: { await governor.state.preferences },
        replacePreferences: { try await governor.replace($0) },
        finish: { [inbox] in inbox.tell.yield(.finish) },
        move: { (url) throws(RequestFailure) in try await loop.move(to: url) },
        rename: { (name) throws(RequestFailure) in try await loop.rename(to: name) },
        logs: { log.document(after: $0, limit: $1) },
        account: ControlServer.Account(
          show: { () throws(RequestFailure) in try await loop.account() },
          change: { (change) throws(RequestFailure) in try await loop.changeAccount(change) },
          makeKey: { () throws(RequestFailure) in try await loop.makeAccountKey() },
          revokeKeys: { () throws(RequestFailure) in try await loop.revokeAccountKeys() })),
      clock: clock, logger: logger)
  }

  private var lifecycleSettings: LifecycleSettings {
    var settings = settings
    settings.maximumUnits = max(1, configuration.maximumUnits)
    settings.grace = .seconds(max(0, configuration.graceSeconds))
    settings.keepsUnits = configuration.keepsUnits
    settings.endsWhenTurnedAwayAtFirst = configuration.endsWhenTurnedAwayAtFirst
    settings.hasInvitation = configuration.invitation != nil
    return settings
  }

  /// Finds out before anything is sent whether the folder and the invitation fit together.
  private func checkMembership(in folder: WorkerFolder) throws {
    guard let member = try Membership(in: folder) else {
      guard configuration.invitation != nil else { throw ConfigurationError.invitationNeeded }
      return
    }
    if let invitation = configuration.invitation {
      try member.require(invitation, folder: configuration.dataFolder)
    }
  }
}

/// Settings that cannot be worked with.
package enum ConfigurationError: Error, Hashable, CustomStringConvertible {
  case invitationNeeded
  case otherCoordinator(folder: String, member: String, invitation: String)

  package var description: String {
    switch self {
    case .invitationNeeded:
      "this worker has not joined a coordinator yet: give it an invitation (the operator makes one "
        + "with: tally invite)"
    case .otherCoordinator(let folder, let member, let invitation):
      "the data folder \(folder) belongs to the coordinator \(member), the invitation is from "
        + "\(invitation): choose another data folder for it"
    }
  }
}
