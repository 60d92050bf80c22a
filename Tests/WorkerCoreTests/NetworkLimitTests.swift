import Foundation
import TestSupport
import Testing
import WireProtocol
import WorkerCore

@Suite struct TokenBucketTests {
  private func at(_ seconds: Double) -> Moment { .origin + .seconds(seconds) }

  @Test func severalStreamsShareOneRateWhateverTheirPieces() {
    for seed in testSeeds(3) {
      var random = SeededRandom(seed: seed)
      var bucket = TokenBucket(bytesPerSecond: 400_000, at: .origin)
      var now = Moment.origin
      var passed = 0
      // Whoever may go on first does, with a piece of any size that a connection gives.
      while now < at(100) {
        for _ in 0..<4 {
          let piece = Int.random(in: 1...65_536, using: &random)
          bucket.charge(piece, at: now)
          passed += piece
        }
        now = now + (bucket.wait(at: now) ?? .milliseconds(1))
      }
      let rate = Double(passed) / now.sinceOrigin.inSeconds
      #expect((396_000...404_000).contains(rate), "seed \(seed): \(rate)")
    }
  }

  @Test func aPauseIsNotMadeUpFor() {
    var bucket = TokenBucket(bytesPerSecond: 1000, at: .origin)
    bucket.charge(401, at: at(3600))
    let wait = bucket.wait(at: at(3600))
    #expect(wait.map { $0 > .zero && $0 < .milliseconds(2) } == true)
  }

  @Test func aDebtIsPaidAtTheNewRate() {
    var bucket = TokenBucket(bytesPerSecond: 10_000, at: .origin)
    bucket.charge(1_000_000, at: .origin)
    #expect(bucket.wait(at: .origin) == .seconds(100))
    bucket.set(bytesPerSecond: 500_000, at: .origin)
    #expect(bucket.wait(at: .origin) == .seconds(2))
    bucket.set(bytesPerSecond: nil, at: .origin)
    #expect(bucket.wait(at: .origin) == nil)
    // Nor does what passed without a limit count once there is one.
    bucket.charge(1 << 40, at: .origin)
    bucket.set(bytesPerSecond: 1000, at: at(1))
    #expect(bucket.wait(at: at(1)) == nil)
  }
}

@Suite struct TrafficLedgerTests {
  private let april = CalendarMonth(year: 2031, month: 4)
  private let may = CalendarMonth(year: 2031, month: 5)

  @Test func eachMonthHasItsOwnCount() {
    var ledger = TrafficLedger()
    ledger.add(100, in: april)
    ledger.add(7, in: may)
    #expect(ledger.bytes(in: may) == 7)
    // The clock was wrong for a moment.
    ledger.add(5, in: CalendarMonth(year: 1970, month: 1))
    ledger.add(1, in: april)
    #expect(ledger.bytes(in: april) == 101)
    ledger.add(.max, in: april)
    #expect(ledger.bytes(in: april) == .max)
  }

  @Test func itIsReadBackAsItWasWrittenAndKeepsItsSize() throws {
    var ledger = TrafficLedger()
    for year in 1...100 { ledger.add(year, in: CalendarMonth(year: year, month: 12)) }
    ledger.add(9, in: may)
    let data = try JSONEncoder().encode(ledger)
    #expect(data.count < 1000)
    let read = try JSONDecoder().decode(TrafficLedger.self, from: data)
    #expect(read == ledger)
    #expect(read.bytes(in: may) == 9)
  }

  @Test(arguments: [
    #"{"2031-4": 1}"#, #"{"2031-13": 1}"#, #"{"2031-04": -1}"#, #"{"2031-04": "1"}"#, #"{"": 1}"#,
    #"{"2031-04-01": 1}"#, "[1]", #"{"+2031-04": 1e40}"#,
  ])
  func whatIsNoCountIsRefused(text: String) {
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(TrafficLedger.self, from: Data(text.utf8))
    }
  }
}

@Suite struct NetworkAllowanceTests {
  @Test func hoursAndVolumeStopTransfersAndNothingElse() throws {
    var preferences = WorkerPreferences()
    preferences.networkHours = try WeeklyHours("mon 8:00-9:00")
    preferences.monthlyMegabytes = 500
    preferences.downloadKilobytesPerSecond = 400
    var governor = Governor(preferences: preferences)
    var around = Surroundings()
    (around.weekday, around.minuteOfDay) = (1, 8 * 60)
    around.transferredBytes = 499_999_999
    let allowed = governor.decide(around, at: .origin)
    #expect(allowed.network.transfers && allowed.computes)
    #expect(allowed.network.downloadBytesPerSecond == 400_000)
    #expect(allowed.network.uploadBytesPerSecond == nil)
    around.transferredBytes = 500_000_000
    around.minuteOfDay = 9 * 60
    let paused = governor.decide(around, at: .origin)
    #expect(paused.computes)
    #expect(
      paused.network.pauses.map { $0.words(at: .origin) } == [
        "outside its network hours (mon 8:00-9:00)",
        "network volume of this month is used up: 500 of 500 MB",
      ])
    // The owner's word overrides when, not how much.
    governor.order = .always
    #expect(governor.decide(around, at: .origin).network.pauses.count == 1)
  }

  @Test(arguments: [
    (#"{"network_hours": "mon"}"#, "network_hours: "),
    (#"{"monthly_megabytes": -1}"#, "monthly_megabytes: "),
    (#"{"download_kilobytes_per_second": 0}"#, "download_kilobytes_per_second: 0 is not between"),
    (#"{"upload_kilobytes_per_second": 99999999999}"#, "upload_kilobytes_per_second: "),
  ])
  func whatMakesNoSenseIsNamed(text: String, words: String) {
    #expect {
      try JSONDecoder().decode(WorkerPreferences.self, from: Data(text.utf8))
    } throws: { "\($0)".hasPrefix(words) }
  }
}

@Suite struct HeldBackLifecycleTests {
  private let first = lease(1)

  @Test func nothingIsTransferredUntilItMayBe() {
    var driver = LifecycleDriver()
    #expect(driver.send(.transferAllowed(false)) == [])
    #expect(driver.send(.leaseAnswered(.units([first]))) == [])
    #expect(driver.lifecycle.nextTimer == driver.now + .seconds(10))
    #expect(driver.wait(.seconds(10)) == [.heartbeat(lease: first.id)])
    #expect(driver.send(.transferAllowed(true)) == [.fetch(first)])
  }

  @Test func aRunningUnitGoesOnAndItsResultIsKept() {
    var driver = LifecycleDriver()
    driver.runUnit()
    #expect(driver.send(.transferAllowed(false)) == [])
    #expect(driver.send(.unitFinished(lease: first.id)) == [])
    #expect(driver.lifecycle.waitingResults == 1)
    #expect(driver.wait(.seconds(86400)) == [])
    #expect(
      Set(driver.send(.transferAllowed(true)))
        == [.upload(lease: first.id), .requestLease(maximumUnits: 1)])
  }

  @Test func aFetchThatTheLimitEndedIsNoFailure() {
    var settings = LifecycleSettings()
    settings.fetchAttempts = 2
    var driver = LifecycleDriver(settings)
    #expect(driver.send(.leaseAnswered(.units([first]))) == [.fetch(first)])
    for _ in 0..<5 {
      _ = driver.send(.transferAllowed(false))
      #expect(
        driver.send(.fetchFailed(lease: first.id, .request(.heldBack(reason: "hours")))) == [])
      #expect(driver.send(.transferAllowed(true)) == [.fetch(first)])
    }
  }

  @Test func finishingDoesNotWaitForTheNextMonth() {
    var driver = LifecycleDriver()
    driver.runUnit()
    _ = driver.send(.transferAllowed(false))
    _ = driver.send(.finish)
    #expect(driver.send(.unitFinished(lease: first.id)) == [.stop(.drained)])
  }
}
