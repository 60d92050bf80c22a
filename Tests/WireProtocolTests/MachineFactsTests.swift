import Testing
import WireProtocol

@Suite struct MachineFactsTests {
  @Test func whatOthersSaidIsMadeSafeToStoreAndShow() throws {
    let facts = try #require(
      MachineFacts(
        processorVendor: "  Genuine\u{1b}[31mIntel\n",
        processorModel: String(repeating: "x", count: 10_000),
        processors: 8, memoryBytes: 16 << 30, systemName: "\u{202e}xuniL", systemVersion: " \u{7}",
        programVersion: "0.1.0"
      ).cleaned)
    #expect(facts.processorVendor == "Genuine [31mIntel")
    #expect(facts.processorModel == String(repeating: "x", count: 100))
    #expect(facts.systemName == "xuniL" && facts.systemVersion == nil)
    #expect(facts.processors == 8 && facts.memoryBytes == 16 << 30)
    #expect(facts.programVersion == "0.1.0")
    #expect(facts.cleaned == facts)
  }

  @Test func numbersThatNoMachineHasAreLeftOut() {
    for number in [0, -1, Int.max, Int.min] {
      #expect(MachineFacts(processors: number, memoryBytes: number).cleaned == nil)
    }
  }

  @Test func marksCannotPileUp() throws {
    let tower = "a" + String(repeating: "\u{301}", count: 5000)
    #expect(MachineFacts(kernels: tower).cleaned == MachineFacts(kernels: "a\u{301}\u{301}"))
  }
}
