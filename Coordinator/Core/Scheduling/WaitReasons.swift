import WireProtocol

/// A worker that asked for work lately, for somebody who asks why work waits.
package struct PresentWorker: Hashable, Sendable {
  /// Whether it may be given work.
  package enum Standing: Hashable, Sendable {
    case free
    case suspended
    /// It waits after a unit that it failed at.
    case heldOff
    case banned
  }
  package var account: String
  package var standing: Standing
  /// Whether it holds a lease.
  package var isBusy: Bool
  /// What it last asked with; nil when it has not asked since the coordinator started.
  package var profile: WorkerProfile?
  /// Why it got nothing then; empty when it got something.
  package var passedOver: [IdleReason: Int]

  package init(
    account: String, standing: Standing = .free, isBusy: Bool = false,
    profile: WorkerProfile? = nil, passedOver: [IdleReason: Int] = [:]
  ) {
    self.account = account
    self.standing = standing
    self.isBusy = isBusy
    self.profile = profile
    self.passedOver = passedOver
  }

  /// Whether nothing that is known keeps it from a queue.
  fileprivate func fits(_ queue: WorkQueue) -> Bool {
    profile.map { Scheduler.misfit(queue, $0) == nil } ?? true
  }
}

/// Says in words why a batch or a fine-tuning job does not get on.
package struct WaitReasons: Hashable, Sendable {
  /// What its units are made of.
  package enum Work: Hashable, Sendable {
    case requests
    case training
  }

  /// Units that want a replica, which one account alone takes part in.
  package struct Alone: Hashable, Sendable {
    package var account: String
    /// Nil when its owner did not agree to be named.
    package var name: String?
    package var units: Int

    package init(account: String, name: String?, units: Int) {
      self.account = account
      self.name = name
      self.units = units
    }
  }

  package var leasing = LeasingState.open
  package var pool: WorkPool
  /// Minutes after which a worker that asked for nothing counts as away.
  package var activeMinutes: Int
  /// The pool's workers that are not away.
  package var workers: [PresentWorker]
  /// Its queues with anything to hand out.
  package var queues: [WorkQueue]
  package var alone: [Alone] = []
  /// Units that want a replica and that every account of the pool has taken part in, of several.
  package var exhaustedUnits = 0
  /// Units that are open, and requests in none.
  package var pending: Int
  package var runningReplicas = 0
  /// Running replicas whose workers have not been heard of lately.
  package var silentReplicas = 0
  package var awaitingReplay = 0
  /// Those of them that workers called invalid.
  package var calledInvalid = 0
  package var work = Work.requests
  /// The model in words, such as `model tiny`; the batch where no model is known.
  package var model = "this batch"
  /// Units that workers called invalid, when none was computed.
  package var refusedUnits = 0

  package init(
    pool: WorkPool, activeMinutes: Int, workers: [PresentWorker], queues: [WorkQueue], pending: Int
  ) {
    self.pool = pool
    self.activeMinutes = activeMinutes
    self.workers = workers
    self.queues = queues
    self.pending = pending
  }

  private var free: [PresentWorker] { workers.filter { $0.standing == .free } }

  /// Empty when nothing waits.
  package func sentences() -> [String] {
    var sentences = pending > 0 ? stopped().map { [$0] } ?? handedOut() : []
    if silentReplicas > 0, silentReplicas == runningReplicas {
      sentences.append(
        "\(Self.count(silentReplicas, "unit is", "units are")) held by workers that say nothing "
          + "any more, until their leases end.")
    }
    if refusedUnits > 0 {
      sentences.append(
        "No unit of \(model) could be computed so far: workers called \(refusedUnits) of them "
          + (work == .requests ? "invalid. Lines that failed say why." : "invalid."))
    }
    let disputed = awaitingReplay - calledInvalid
    if disputed > 0 {
      sentences.append(
        "\(Self.units(disputed, "with disputed or lost results")) "
          + "for the coordinator's own machine.")
    }
    if calledInvalid > 0 {
      sentences.append(
        "\(Self.units(calledInvalid, "that workers called invalid")) "
          + "for the coordinator's own machine, which finds out who is right.")
    }
    return sentences
  }

  /// What keeps everything from being handed out.
  private func stopped() -> String? {
    switch leasing {
    case .paused: return "The coordinator's operator has paused the handing out of units."
    case .draining:
      return
        "The coordinator's operator prepares maintenance: no units are handed out until it is over."
    case .open: break
    }
    if workers.isEmpty {
      return "No worker of the \(pool.rawValue) pool has asked for work in the last "
        + "\(activeMinutes) minutes."
    }
    guard free.isEmpty else { return nil }
    return "No worker of the \(pool.rawValue) pool may be given work: \(Self.standings(workers))."
  }

  /// How many workers are not free, by what keeps work from them.
  private static func standings(_ workers: [PresentWorker]) -> String {
    func held(_ standing: PresentWorker.Standing) -> Int {
      workers.count { $0.standing == standing }
    }
    return list([
      count(held(.banned), "is banned", "are banned"),
      count(
        held(.suspended), "is suspended after a wrong result", "are suspended after wrong results"),
      count(held(.heldOff), "waits after a failed unit", "wait after failed units"),
    ])
  }

  /// What is with the other accounts of the pool, in words that continue "no other account of it",
  /// when none of them can be given a unit.
  ///
  /// - Parameter others: their workers.
  private func absence(of others: [PresentWorker]) -> String {
    let held = others.filter { worker in
      worker.standing != .free && queues.contains(where: worker.fits)
    }
    if others.isEmpty { return "is active." }
    if held.isEmpty { return "is active with a machine that can take it." }
    return (held.count < others.count ? "with a machine that can take it " : "")
      + "may be given work: \(Self.standings(held))."
  }

  private func handedOut() -> [String] {
    var sentences = queues.compactMap(misfit)
    let fitting = free.filter { worker in queues.contains(where: worker.fits) }
    let accounts = Set(fitting.map(\.account))
    for group in alone where !accounts.isEmpty && accounts.subtracting([group.account]).isEmpty {
      let runner = group.name.map { "'\($0)'" } ?? "one account"
      sentences.append(
        "Too few accounts: \(Self.units(group.units, "run by \(runner)")) for a worker "
          + "of a second account, and no other account of the \(pool.rawValue) pool "
          + absence(of: workers.filter { $0.account != group.account }))
    }
    if exhaustedUnits > 0 {
      sentences.append(
        "Too few accounts: \(Self.units(exhaustedUnits, "run by several accounts")) for a worker "
          + "of another one, and no other account of the \(pool.rawValue) pool "
          // Who is free has taken part in them.
          + absence(
            of: workers.filter { worker in !free.contains { $0.account == worker.account } }))
    }
    if sentences.isEmpty, runningReplicas == 0, let reason = turn(fitting) {
      sentences.append(reason)
    }
    return sentences
  }

  /// Why no worker can take a queue's work; nil when one can, or may be able to.
  private func misfit(_ queue: WorkQueue) -> String? {
    var reasons: [IdleReason: Int] = [:]
    for worker in free {
      guard let profile = worker.profile, let reason = Scheduler.misfit(queue, profile) else {
        return nil
      }
      reasons[reason, default: 0] += 1
    }
    let memory = UnitMemory.leastBytes(queue.cost, queue.cache)
    let offered = free.compactMap { $0.profile?.memoryLimitBytes }.max() ?? 0
    let room = free.compactMap { $0.profile?.cacheFreeBytes }.max() ?? 0
    return
      "No worker of the \(pool.rawValue) pool can take \(queue.models.first ?? "the model") now: "
      + Self.list([
        Self.count(reasons[.needsMoreMemory] ?? 0, "offers", "offer").map {
          "\($0) too little memory (it needs \(Self.megabytes(memory)), the most that one offers "
            + "is \(Self.megabytes(offered)))"
        },
        Self.count(reasons[.needsMoreDisk] ?? 0, "has", "have").map {
          "\($0) too little room in the cache (it needs \(Self.megabytes(queue.cost.diskBytes)), "
            + "the most is \(Self.megabytes(room)))"
        },
        Self.count(
          reasons[.notChosen] ?? 0, "takes other work by its owner's choice",
          "take other work by their owners' choice"),
        Self.count(reasons[.otherPool] ?? 0, "serves another pool", "serve another pool"),
        Self.count(
          reasons[.failedLately] ?? 0, "could not compute units of it lately",
          "could not compute units of it lately"),
      ]) + "."
  }

  /// Why workers that could take something have not.
  private func turn(_ fitting: [PresentWorker]) -> String? {
    let asked = fitting.filter { $0.profile != nil }
    guard !asked.isEmpty, asked.count == fitting.count else { return nil }
    if asked.allSatisfy(\.isBusy) {
      return "It waits its turn: "
        + Self.count(
          asked.count, "worker that can take it computes", "workers that can take it compute")
        + " other units."
    }
    if asked.contains(where: { !$0.isBusy && ($0.passedOver[.needsMoreMemory] ?? 0) > 0 }) {
      let offered =
        asked.filter { !$0.isBusy }.compactMap { $0.profile?.memoryLimitBytes }.max() ?? 0
      let needed =
        work == .requests ? "Its requests are too long for" : "One of its units needs more than"
      return "\(needed) the memory of the workers that are free: the most that one offers is "
        + "\(Self.megabytes(offered))."
    }
    return nil
  }

  private static func units(_ count: Int, _ which: String) -> String {
    count == 1 ? "1 unit \(which) waits" : "\(count) units \(which) wait"
  }

  private static func count(_ count: Int, _ one: String, _ many: String) -> String {
    count == 1 ? "1 \(one)" : "\(count) \(many)"
  }

  /// The count in words; nil for a count of 0.
  private static func count(_ count: Int, _ one: String, _ many: String) -> String? {
    count == 0 ? nil : (Self.count(count, one, many) as String)
  }

  private static func list(_ parts: [String?]) -> String {
    parts.compactMap(\.self).joined(separator: ", ")
  }

  private static func megabytes(_ bytes: Int) -> String { "\((bytes + 999_999) / 1_000_000) MB" }
}
