import CoordinatorCore
import Foundation
import Testing
import WireProtocol

@Suite("Wait reasons")
struct WaitReasonsTests {
  private static let cost = ModelCost(
    bodyFlopsPerToken: 1e9, headFlopsPerToken: 0, attentionFlopsPerPosition: 0,
    weightBytes: 1_000_000_000, cacheBytesPerToken: 1 << 10, diskBytes: 1_000_000_000)

  private func profile(
    memory: Int = 8_000_000_000, disk: Int = 8_000_000_000, choices: WorkChoices? = nil
  ) -> WorkerProfile {
    WorkerProfile(
      trusted: false, suspendedUntil: nil, threads: 4, memoryLimitBytes: memory,
      cacheFreeBytes: disk, cachedModels: [], flopsPerSecond: 1e12, choices: choices)
  }

  private func worker(
    _ account: String = "ann", _ standing: PresentWorker.Standing = .free, isBusy: Bool = false,
    _ profile: WorkerProfile? = nil, passedOver: [IdleReason: Int] = [:]
  ) -> PresentWorker {
    PresentWorker(
      account: account, standing: standing, isBusy: isBusy, profile: profile ?? self.profile(),
      passedOver: passedOver)
  }

  private func reasons(_ workers: [PresentWorker], pending: Int = 10) -> WaitReasons {
    let queue = WorkQueue(
      id: 1, keyID: "key", keyVirtualTime: 0, virtualTime: 0, priority: 0, pool: .public,
      model: digest("d"), cache: .f16, cost: Self.cost, waitingRequests: pending,
      missingReplicas: 0, models: ["tiny"])
    return WaitReasons(
      pool: .public, activeMinutes: 10, workers: workers, queues: [queue], pending: pending)
  }

  @Test("a batch that a free worker can take does not wait")
  func none() {
    #expect(reasons([worker()]).sentences().isEmpty)
    #expect(reasons([], pending: 0).sentences().isEmpty)
  }

  @Test("nobody is there, or nothing is handed out")
  func stopped() {
    #expect(
      reasons([]).sentences()
        == ["No worker of the public pool has asked for work in the last 10 minutes."])
    var paused = reasons([worker()])
    paused.leasing = .paused
    #expect(
      paused.sentences() == ["The coordinator's operator has paused the handing out of units."])
    paused.leasing = .draining
    #expect(paused.sentences().count == 1 && paused.sentences()[0].contains("maintenance"))
  }

  @Test("every machine that is there could not compute the model lately")
  func refused() {
    var profile = profile()
    profile.refusedModels = [digest("d")]
    let sentences = reasons([worker("a", .free, profile), worker("b", .free, profile)]).sentences()
    #expect(
      sentences == [
        "No worker of the public pool can take tiny now: 2 could not compute units of it lately."
      ])
  }

  @Test("a quorum of three waits for a third account")
  func exhausted() {
    var waiting = reasons([worker("a"), worker("b")])
    waiting.exhaustedUnits = 2
    #expect(
      waiting.sentences() == [
        "Too few accounts: 2 units run by several accounts wait for a worker of another one, and "
          + "no other account of the public pool is active."
      ])
  }

  @Test("all who are there are held off, each for its reason")
  func heldOff() {
    #expect(
      reasons([
        worker("a", .banned), worker("b", .suspended), worker("c", .suspended),
        worker("d", .heldOff),
      ]).sentences() == [
        "No worker of the public pool may be given work: 1 is banned, 2 are suspended after wrong "
          + "results, 1 waits after a failed unit."
      ])
    #expect(reasons([worker("a", .banned), worker()]).sentences().isEmpty)
  }

  @Test("nobody has the memory, the room, or the wish for the model")
  func misfits() {
    let memory = worker("a", .free, profile(memory: 900_000_000))
    let sentences = reasons([memory]).sentences()
    #expect(
      sentences == [
        "No worker of the public pool can take tiny now: 1 offers too little memory (it needs "
          + "1168 MB, the most that one offers is 900 MB)."
      ])
    let disk = worker("b", .free, profile(disk: 10_000_000))
    let choosy = worker("c", .free, profile(choices: WorkChoices(licences: ["mit"])))
    let all = reasons([memory, disk, choosy]).sentences()
    #expect(all.count == 1)
    for part in [
      "1 offers too little memory", "1 has too little room in the cache (it needs 1000 MB",
      "1 takes other work by its owner's choice"]
    {
      #expect(all.first?.contains(part) == true, "\(all)")
    }
    // Who has not asked since the coordinator started may well be able to.
    var silent = worker("d")
    silent.profile = nil
    #expect(reasons([memory, silent]).sentences().isEmpty)
    #expect(reasons([memory, worker("d", .banned)]).sentences().count == 1)
  }

  @Test("workers that could take it do something else, or its requests are too long for them")
  func turn() {
    let busy = reasons([worker("a", isBusy: true), worker("b", isBusy: true)])
    #expect(
      busy.sentences()
        == ["It waits its turn: 2 workers that can take it compute other units."])
    var moving = busy
    moving.runningReplicas = 1
    #expect(moving.sentences().isEmpty)
    let long = reasons([worker("a", passedOver: [.needsMoreMemory: 3])]).sentences()
    #expect(
      long.count == 1 && long[0].contains("too long for the memory") && long[0].contains("8000 MB"))
  }

  @Test("a second account is missing only where nobody else could take the unit")
  func secondAccount() {
    var one = reasons([worker("ann"), worker("ann")])
    one.alone = [.init(account: "ann", name: nil, units: 2)]
    #expect(
      one.sentences() == [
        "Too few accounts: 2 units run by one account wait for a worker of a second account, and "
          + "no other account of the public pool is active."
      ])
    var small = reasons([worker("ann"), worker("bob", .free, profile(memory: 1))])
    small.alone = one.alone
    #expect(
      small.sentences().first?.hasSuffix("is active with a machine that can take it.") == true)
    // The account's own machine that cannot take it says nothing of others.
    var own = reasons([worker("ann"), worker("ann", .free, profile(memory: 1))])
    own.alone = one.alone
    #expect(
      own.sentences().first?.hasSuffix("no other account of the public pool is active.") == true)
    var two = reasons([worker("ann"), worker("bob")])
    two.alone = one.alone
    #expect(two.sentences().isEmpty)
  }

  @Test("other accounts are there but may be given nothing")
  func heldAccounts() {
    func tail(_ others: [PresentWorker], exhausted: Bool = false) -> String {
      var waiting = reasons([worker("ann")] + others)
      if exhausted {
        waiting.exhaustedUnits = 1
      } else {
        waiting.alone = [.init(account: "ann", name: nil, units: 1)]
      }
      let sentences = waiting.sentences()
      #expect(sentences.count == 1, "\(sentences)")
      let words = "no other account of the public pool "
      return sentences.first?.components(separatedBy: words).last ?? ""
    }
    for exhausted in [false, true] {
      #expect(
        tail([worker("bob", .heldOff)], exhausted: exhausted)
          == "may be given work: 1 waits after a failed unit.")
      #expect(
        tail([worker("bob", .suspended), worker("cy", .banned)], exhausted: exhausted)
          == "may be given work: 1 is banned, 1 is suspended after a wrong result.")
      #expect(tail([worker("ann", .heldOff)], exhausted: exhausted) == "is active.")
      #expect(
        tail([worker("bob", .heldOff, profile(memory: 1))], exhausted: exhausted)
          == "is active with a machine that can take it.")
    }
    #expect(
      tail([worker("bob", .heldOff), worker("cy", .free, profile(memory: 1))])
        == "with a machine that can take it may be given work: 1 waits after a failed unit.")
  }

  @Test("units of workers that went silent, and units that the coordinator replays")
  func units() {
    var silent = reasons([worker()])
    silent.runningReplicas = 2
    silent.silentReplicas = 1
    #expect(silent.sentences().isEmpty)
    silent.runningReplicas = 1
    #expect(
      silent.sentences()
        == ["1 unit is held by workers that say nothing any more, until their leases end."])
    var disputed = reasons([], pending: 0)
    disputed.awaitingReplay = 2
    #expect(
      disputed.sentences()
        == ["2 units with disputed or lost results wait for the coordinator's own machine."])
    disputed.calledInvalid = 1
    #expect(
      disputed.sentences() == [
        "1 unit with disputed or lost results waits for the coordinator's own machine.",
        "1 unit that workers called invalid waits for the coordinator's own machine, which finds "
          + "out who is right.",
      ])
  }
}
