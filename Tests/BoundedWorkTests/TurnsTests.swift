import BoundedWork
import Testing

@Suite struct TurnsTests {
  @Test func everyoneHasSoManyAtATime() throws {
    let turns = Turns(limit: 2)
    var held: [Turn] = []
    for _ in 0..<2 { held.append(try #require(turns.take("one"))) }
    #expect(turns.take("one") == nil)
    held.append(try #require(turns.take("two")))
    #expect(turns.count == 3)
    held.removeFirst()
    #expect(turns.count == 2)
    #expect(turns.take("one") != nil, "given back as soon as it was taken, since nobody kept it")
    held = []
    #expect(turns.count == 0)
  }
}
