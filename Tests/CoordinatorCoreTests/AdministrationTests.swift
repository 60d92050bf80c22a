import CoordinatorCore
import Testing
import WireProtocol

@Suite("Quota")
struct QuotaTests {
  private func refusal(
    _ quota: Quota, _ demand: Quota.Demand, _ usage: Quota.Usage
  ) -> QuotaRefusal? {
    if case .refused(let refusal) = quota.verdict(on: demand, usage: usage) { refusal } else { nil }
  }

  @Test("what fills a limit to the brim is granted, one more is not")
  func brims() {
    let quota = Quota(requestsPerDay: 10, tokensPerDay: 100, openBatches: 2, storedBytes: 1000)
    let usage = Quota.Usage(requests: 6, tokens: 99, openBatches: 1, storedBytes: 400)
    #expect(refusal(quota, .batch(requests: 4), usage) == nil)
    #expect(refusal(quota, .batch(requests: 5), usage)?.resource == .requestsPerDay)
    #expect(refusal(quota, .file(bytes: 600), usage) == nil)
    #expect(refusal(quota, .file(bytes: 601), usage)?.resource == .storedBytes)
    var full = usage
    full.openBatches = 2
    #expect(refusal(quota, .batch(requests: 1), full)?.resource == .openBatches)
    full = usage
    full.tokens = 100
    #expect(refusal(quota, .batch(requests: 1), full)?.resource == .tokensPerDay)
  }

  @Test("without limits everything is granted, with 0 nothing is")
  func extremes() {
    let much = Quota.Usage(requests: .max, tokens: .max, openBatches: .max, storedBytes: .max)
    #expect(refusal(Quota(), .batch(requests: .max), much) == nil)
    #expect(refusal(Quota(), .file(bytes: .max), much) == nil)
    #expect(refusal(Quota(requestsPerDay: 0), .batch(requests: 1), .init()) != nil)
    #expect(refusal(Quota(tokensPerDay: 0), .batch(requests: 1), .init()) != nil)
    #expect(refusal(Quota(storedBytes: .max), .file(bytes: .max), much) != nil)
  }

  @Test("waiting helps against what a day or a running batch took, and against nothing else")
  func patience() {
    let quota = Quota(requestsPerDay: 10, openBatches: 1, storedBytes: 10)
    #expect(refusal(quota, .batch(requests: 5), .init(requests: 6))?.passesWithTime == true)
    #expect(refusal(quota, .batch(requests: 11), .init())?.passesWithTime == false)
    #expect(refusal(quota, .batch(requests: 1), .init(openBatches: 1))?.passesWithTime == true)
    #expect(refusal(quota, .file(bytes: 11), .init())?.passesWithTime == false)
  }

  @Test("a refusal says the limit, what was used and what helps")
  func words() throws {
    let told = try #require(
      refusal(Quota(requestsPerDay: 10), .batch(requests: 5), .init(requests: 6))
    ).description
    #expect(told.contains("10 requests a day") && told.contains("6 were made"))
    let files = try #require(
      refusal(Quota(storedBytes: 10), .file(bytes: 5), .init(storedBytes: 6))
    ).description
    #expect(files.contains("Delete files"))
  }
}

@Suite("Lease admission")
struct LeaseAdmissionTests {
  @Test("a ban goes before a pause, and the worker learns the reason")
  func bans() {
    let paused = Administration(leasing: .paused, message: "back at noon")
    #expect(LeaseAdmission.decide(.init(), ban: nil, retryAfterSeconds: 5) == .admitted)
    #expect(
      LeaseAdmission.decide(paused, ban: nil, retryAfterSeconds: 5)
        == .refused(.paused, message: "back at noon", retryAfterSeconds: 5))
    let ban = Ban(reason: "faulty memory", since: Timestamp(seconds: 1), coversAccount: false)
    #expect(
      LeaseAdmission.decide(paused, ban: ban, retryAfterSeconds: 5)
        == .refused(
          .banned,
          message: "The coordinator's operator has banned this worker: faulty memory",
          retryAfterSeconds: LeaseAdmission.bannedRetrySeconds))
  }
}

@Suite("Minimum version")
struct MinimumVersionTests {
  private func objection(
    _ minimum: String, own: String = "0.2.0", _ fleet: [String?]
  ) throws -> String? {
    MinimumVersion.objection(
      to: try #require(ProgramVersion(minimum)), own: try #require(ProgramVersion(own)),
      fleet: fleet.map { $0.flatMap(ProgramVersion.init) })
  }

  @Test("a version that nobody can have, or few have, is a slip")
  func slips() throws {
    let fleet: [String?] = ["0.1.0", "0.1.0", "0.2.0", nil]
    #expect(
      try objection("9.9.9", fleet)?.hasPrefix("9.9.9 is newer than this coordinator") == true)
    #expect(
      try objection("0.2.0", fleet)
        == "that would put off most of the fleet: 2 of the 3 workers that asked for work within a "
        + "day and say their version are older; 1 more keep it private")
    #expect(try objection("0.1.0", fleet) == nil)
    #expect(try objection("0.2.0", ["0.1.0", "0.2.0"]) == nil)
    #expect(try objection("0.2.0", []) == nil)
  }
}
