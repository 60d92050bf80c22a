import Foundation
import Testing
import WireProtocol

@Suite struct WorkChoicesTests {
  private func takes(
    _ choices: WorkChoices, _ models: [String] = ["smollm2-135m"], licence: String? = "apache-2.0",
    pool: String = "public"
  ) -> Bool {
    choices.takes(.generate, WorkDescription(models: models, licence: licence, pool: pool))
  }

  @Test func nothingChosenTakesEverything() {
    #expect(WorkChoices().isEmpty && takes(WorkChoices()))
    #expect(WorkChoices().takes(.generate, nil))
    #expect(takes(WorkChoices(), [], licence: nil, pool: "trusted"))
  }

  @Test(arguments: [
    (["smollm2-135m"], true), (["SmolLM2-135M"], true), (["smollm2-*"], true), (["*-135m"], true),
    (["smol*2*m"], true), (["*"], true), (["smollm2"], false), (["smollm2-135m*x"], false),
    (["llama*"], false), (["llama*", "smollm2-*"], true), (["-smollm2-*"], false),
    (["-llama*"], true), (["*", "-*-135m"], false), (["smollm2-*", "-*-1b"], true), (["**"], true),
    (["*a*"], false), ([""], false),
  ])
  func modelsAreChosenByName(names: [String], isTaken: Bool) {
    #expect(takes(WorkChoices(models: names)) == isTaken)
  }

  @Test func aModelOfSeveralNamesIsTakenUnderOneAndRefusedUnderAny() {
    #expect(takes(WorkChoices(models: ["b"]), ["a", "b"]))
    #expect(!takes(WorkChoices(models: ["b", "-a"]), ["a", "b"]))
    #expect(!takes(WorkChoices(models: ["b"]), []))
    #expect(takes(WorkChoices(models: ["-b"]), []))
  }

  @Test func anUnknownLicenceIsANameOfItsOwn() {
    #expect(!takes(WorkChoices(licences: ["*"]), licence: nil))
    #expect(takes(WorkChoices(licences: ["*"])))
    #expect(takes(WorkChoices(licences: ["unknown"]), licence: nil))
    #expect(!takes(WorkChoices(licences: ["-unknown"]), licence: nil))
    #expect(takes(WorkChoices(licences: ["-unknown"])))
    #expect(takes(WorkChoices(licences: ["-*"]), licence: nil))
    #expect(!takes(WorkChoices(licences: ["mit"])) && takes(WorkChoices(licences: ["Apache-2.0"])))
  }

  @Test func kindsAndPoolsCountToo() {
    #expect(!takes(WorkChoices(pools: ["public"]), pool: "trusted"))
    #expect(takes(WorkChoices(pools: ["-trusted"])))
    #expect(takes(WorkChoices(kinds: ["generate"])) && !takes(WorkChoices(kinds: ["-generate"])))
    // A kind that only a newer program knows.
    #expect(!takes(WorkChoices(kinds: ["train"])))
  }

  /// Of a coordinator that does not say what its units are about, only what is not restricted is
  /// taken.
  @Test func silenceIsNoPermission() {
    #expect(!WorkChoices(models: ["-x"]).takes(.generate, nil))
    #expect(!WorkChoices(licences: ["-x"]).takes(.generate, nil))
    #expect(!WorkChoices(pools: ["public"]).takes(.generate, nil))
    #expect(WorkChoices(kinds: ["generate"]).takes(.generate, nil))
  }

  @Test func whatIsUnreasonableIsNamed() {
    #expect(WorkChoices(models: ["a", "-b*"]).problem == nil)
    for bad in ["", "-", "a b", "a,b", "a\n", String(repeating: "x", count: 129)] {
      #expect(WorkChoices(licences: [bad]).problem?.hasPrefix("licences") == true, "\(bad)")
    }
    let many = Array(repeating: "x", count: 65)
    #expect(WorkChoices(kinds: many).problem != nil)
  }

  @Test func aHostilePatternCostsLittle() {
    let pattern = String(repeating: "*a", count: 63) + "b"
    let clock = ContinuousClock()
    let spent = clock.measure {
      for _ in 0..<1000 {
        _ = takes(WorkChoices(models: [pattern]), [String(repeating: "a", count: 128)])
      }
    }
    #expect(spent < .seconds(5))
  }

  @Test func newFieldsAndReasonsDisturbNobody() throws {
    let lease = #"""
      {"leases":[],"reasons":{"noWork":1,"phaseOfTheMoon":3},"retryAfterSeconds":5}
      """#
    let response = try CanonicalJSON.decode(LeaseResponse.self, from: Data(lease.utf8))
    #expect(response.reasons == [.noWork: 1])
    let choices = #"{"models":["a"],"planets":["mars"]}"#
    #expect(
      try CanonicalJSON.decode(WorkChoices.self, from: Data(choices.utf8))
        == WorkChoices(models: ["a"]))
  }
}
