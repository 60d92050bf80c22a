import Foundation
import NIOCore
import WireProtocol
import WorkerCore
import WorkerEngine

// One function for each action. What takes time is returned as work that ends by telling an event.
extension WorkerLoop {
  typealias Work = @Sendable () async -> Void

  func perform(_ action: WorkerAction) -> Work? {
    switch action {
    case .enrol: enrol()
    case .renewCertificate: renew()
    case .move(let url): move(url)
    case .requestLease(let maximum): requestLease(maximum)
    case .fetch(let lease): fetch(lease)
    case .cancelFetch(let lease): cancelFetch(lease)
    case .run(let lease): start(lease)
    case .cancelRun(let lease): cancelRun(lease)
    case .heartbeat(let lease): heartbeat(lease)
    case .upload(let lease): upload(lease)
    case .discardResult(let lease, let reason): discard(lease, reason)
    case .abandon(let lease, let reason, let detail): abandon(lease, reason, detail)
    case .stop: nil
    }
  }

  // MARK: Membership

  private func enrol() -> Work? {
    guard let invitation = equipment.configuration.invitation else {
      tell.yield(
        .enrolmentFailed(
          .notAdmitted(
            message: "this data folder belongs to no coordinator yet: an invitation is needed")))
      return nil
    }
    let (enroller, now) = (enroller, equipment.clock.unixSeconds())
    return {
      do throws(RequestFailure) {
        let member = try await enroller.enrol(invitation, now: now)
        self.tell.yield(.enrolled(try await self.take(member)))
      } catch {
        self.tell.yield(.enrolmentFailed(error))
      }
    }
  }

  private func renew() -> Work? {
    guard let membership else { return nil }
    let (enroller, now) = (enroller, equipment.clock.unixSeconds())
    return {
      do throws(RequestFailure) {
        let member = try await enroller.renew(membership, now: now)
        self.tell.yield(.renewed(try await self.take(member)))
      } catch {
        self.tell.yield(.renewalFailed(error))
      }
    }
  }

  private func move(_ url: String) -> Work? {
    return {
      do throws(RequestFailure) {
        try await self.move(to: url)
      } catch {
        self.tell.yield(.movingFailed(error))
      }
    }
  }

  var enroller: Enroller {
    Enroller(
      http: equipment.http, key: equipment.key, workerName: equipment.configuration.workerName)
  }

  /// Stores a membership, then takes it up; returns when to renew its certificate.
  func take(_ member: Membership) throws(RequestFailure) -> CertificateTerm {
    do {
      try member.store(in: equipment.folder)
      try become(member)
    } catch {
      throw .refused(status: 0, code: nil, message: "\(error)")
    }
    receivedAt = equipment.clock.now()
    guard let term else { throw .refused(status: 0, code: nil, message: "no membership") }
    return term
  }

  // MARK: Leases

  private func requestLease(_ maximum: Int) -> Work? {
    guard let client else { return nil }
    return {
      let request = await self.leaseRequest(maximum)
      do throws(RequestFailure) {
        let response = try await client.post(
          WorkerRoute.lease, request, for: LeaseResponse.self)
        self.tell.yield(.leaseAnswered(await self.sound(response)))
      } catch {
        self.tell.yield(.leaseFailed(error))
      }
    }
  }

  private func leaseRequest(_ maximum: Int) async -> LeaseRequest {
    let (configuration, limits) = (equipment.configuration, unitLimits)
    let cacheFreeBytes = await equipment.cache.freeBytes
    cacheSetting = await equipment.cache.usage.reason
    return LeaseRequest(
      threads: limits.threads, memoryLimitBytes: limits.memoryBytes,
      cacheFreeBytes: cacheFreeBytes, cachedModels: await cachedModels(),
      measuredFlopsPerSecond: tallies.flopsPerSecond, secondsWanted: configuration.secondsWanted,
      maximumUnits: maximum, choices: choices.isEmpty ? nil : choices,
      machine: equipment.allowance()?.sharesMachine == true ? equipment.machine : nil, run: runName)
  }

  /// The manifests whose every chunk is in the cache.
  private func cachedModels() async -> [Digest] {
    var complete: [Digest] = []
    for manifest in await equipment.cache.manifests {
      if knownChunks[manifest] == nil,
        let data = try? DurableFile.read(
          equipment.cache.path(of: manifest), limitBytes: UnitPreparation.limitBytes),
        let chunks = try? equipment.runner.chunks(ofManifest: data, part: nil)
      {
        knownChunks[manifest] = chunks.map(\.digest)
      }
      if let chunks = knownChunks[manifest], await equipment.cache.contains(chunks) {
        complete.append(manifest)
      }
    }
    return complete
  }

  /// Without the leases whose ids are none, since ids name files; with the address to move to, if
  /// there is one.
  private func sound(_ response: LeaseResponse) -> LeaseResponse {
    var response = response
    response.leases.removeAll { !ResultStore.isLeaseID($0.id) }
    noteAnnounced(response.nextAddress)
    response.nextAddress = nextAddress ?? membership?.record.nextURL
    return response
  }

  private func heartbeat(_ lease: String) -> Work? {
    guard let client else { return nil }
    let message = Heartbeat(flopsDone: running[lease]?.flopsDone ?? 0)
    return {
      do throws(RequestFailure) {
        let response = try await client.post(
          WorkerRoute.heartbeat(lease: lease), message, for: HeartbeatResponse.self)
        self.tell.yield(.heartbeatAnswered(lease: lease, response))
      } catch {
        self.tell.yield(.heartbeatFailed(lease: lease, error))
      }
    }
  }

  private func abandon(
    _ lease: String, _ reason: Abandonment.Reason, _ detail: String
  ) -> Work? {
    guard let client else { return nil }
    let message = Abandonment(reason: reason, detail: String(detail.prefix(1000)))
    return {
      // A lost farewell costs the lease's deadline and nothing else.
      try? await client.post(WorkerRoute.abandon(lease: lease), message)
      self.tell.yield(.abandonmentEnded(lease: lease))
    }
  }

  // MARK: Units

  private func fetch(_ lease: Lease) -> Work? {
    guard let client else { return nil }
    remember(lease)
    let preparation = UnitPreparation(
      cache: equipment.cache, client: client, runner: equipment.runner)
    let fetch = Task {
      do throws(FetchFailure) {
        let unit = try await preparation.run(lease)
        self.ready(unit)
      } catch {
        self.fetches[lease.id] = nil
        self.tell.yield(.fetchFailed(lease: lease.id, error))
      }
    }
    fetches[lease.id] = fetch
    return {
      await withTaskCancellationHandler {
        await fetch.value
      } onCancel: {
        fetch.cancel()
      }
    }
  }

  private func ready(_ unit: PreparedUnit) {
    fetches[unit.lease.id] = nil
    prepared[unit.lease.id] = unit
    tell.yield(.blobsReady(lease: unit.lease.id))
  }

  private func cancelFetch(_ lease: String) -> Work? {
    fetches.removeValue(forKey: lease)?.cancel()
    return nil
  }

  private func start(_ lease: Lease) -> Work? {
    guard let unit = prepared[lease.id] else {
      tell.yield(.unitFailed(lease: lease.id, .failed, detail: "the unit was not prepared"))
      return nil
    }
    let signals = UnitSignals(at: equipment.clock.now())
    running[lease.id] = signals
    let thread = UnitThread(
      runner: equipment.runner, prepared: unit, signals: signals,
      blobPath: { [cache = equipment.cache] in cache.path(of: $0) },
      configuration: equipment.configuration, memoryLimitBytes: unitLimits.memoryBytes,
      key: equipment.key, results: equipment.results,
      checkpoints: equipment.checkpoints, energy: equipment.energy, clock: equipment.clock,
      logger: equipment.logger,
      progress: { Task { await self.reportProgress() } })
    thread.start { end in Task { await self.ended(lease.id, end) } }
    return nil
  }

  private func cancelRun(_ lease: String) -> Work? {
    running[lease]?.cancel()
    return nil
  }

  private func ended(_ lease: String, _ end: UnitEnd) {
    running[lease] = nil
    switch end {
    case .finished(let tokens, let flops, let seconds, let resumed):
      tallies.add(tokens: tokens, flops: flops, seconds: seconds)
      tallies.sequencesResumed += resumed
      tell.yield(.unitFinished(lease: lease))
    case .failed(let reason, let detail):
      tell.yield(.unitFailed(lease: lease, reason, detail: detail))
    case .cancelled: tell.yield(.unitCancelled(lease: lease))
    }
  }

  // MARK: Results

  private func upload(_ lease: String) -> Work? {
    guard let client else { return nil }
    let (results, traffic) = (equipment.results, equipment.traffic)
    return {
      do throws(RequestFailure) {
        let receipt = try await Self.send(lease, from: results, over: client, traffic)
        await self.count(receipt)
        self.tell.yield(.uploadAnswered(lease: lease, receipt))
      } catch {
        self.tell.yield(.uploadFailed(lease: lease, error))
      }
    }
  }

  private static func send(
    _ lease: String, from results: ResultStore, over client: CoordinatorClient,
    _ traffic: TrafficMeter
  ) async throws(RequestFailure) -> ResultReceipt {
    var bodyBytes = 0
    var request = client.request(.PUT, WorkerRoute.result(lease: lease))
    do {
      guard let result = try results.load(lease) else {
        throw RequestFailure.refused(
          status: 0, code: WorkerErrorCode.resultInvalid, message: "the result's file is damaged")
      }
      for (name, value) in try result.headers() { request.headers.add(name: name, value: value) }
      bodyBytes = result.body.count
      try traffic.admit(bodyBytes)
      request.body = .stream(
        PacedBody(bytes: ByteBuffer(bytes: result.body), traffic: traffic),
        length: .known(Int64(bodyBytes)))
    } catch let failure as RequestFailure {
      throw failure
    } catch {
      throw .unreachable(detail: "\(error)")
    }
    // What the slowest rate that an owner may set needs, and ten minutes.
    let seconds = Int64(600 + bodyBytes / 8000)
    let answer = try await client.send(request, timeout: .seconds(seconds))
    return try CoordinatorClient.decode(ResultReceipt.self, from: answer)
  }

  private func count(_ receipt: ResultReceipt) {
    switch receipt.state {
    case .accepted, .awaitingReplica, .awaitingReplay: tallies.unitsDone += 1
    case .rejected, .notNeeded: break
    }
  }

  private func discard(_ lease: String, _ reason: DiscardReason) -> Work? {
    let logger = equipment.logger
    switch reason {
    case .delivered(let state):
      logger.info("result delivered", metadata: ["lease": "\(lease)", "state": "\(state.rawValue)"])
    case .refused(let message):
      logger.warning("result refused", metadata: ["lease": "\(lease)", "reason": "\(message)"])
    case .abandoned, .tooOld:
      logger.warning("result dropped", metadata: ["lease": "\(lease)", "reason": "\(reason)"])
    }
    do {
      try equipment.results.remove(lease)
    } catch {
      // It will be sent once more at the next start, which changes nothing.
      logger.warning("result not removed", metadata: ["lease": "\(lease)", "error": "\(error)"])
    }
    return nil
  }
}
