answer[2] = write_all(cells) or allowed + 2 * spoilt
return answer
